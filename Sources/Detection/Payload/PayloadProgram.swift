import RuleLanguage
import Traffic

/// The steps of one rule over one buffer, in rule order: contents, pcre, byte_* and their like.
///
/// Built keyword by keyword through ``PayloadProgramBuilder``; matched against as many buffers as
/// there are. Immutable and shared by all workers.
public struct PayloadProgram: Sendable {
  public internal(set) var steps: [PayloadStep] = []
  /// Transforms that make the buffer before the steps see it, in order.
  public internal(set) var transforms: [BufferTransform] = []

  public var isEmpty: Bool { steps.isEmpty }

  /// The positive contents from which the fast pattern is chosen.
  public var contents: [ContentStep] {
    steps.compactMap { if case .content(let content) = $0 { content } else { nil } }
  }
}

/// What the steps need to know beyond the bytes.
public struct BufferFacts: Sendable {
  /// Where the first byte lies in the whole buffer or stream.
  public var offset: UInt64
  public var isComplete: Bool

  @inlinable
  public init(offset: UInt64 = 0, isComplete: Bool = true) {
    self.offset = offset
    self.isComplete = isComplete
  }
}
