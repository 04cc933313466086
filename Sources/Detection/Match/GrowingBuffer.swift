import AppLayer
import Traffic

/// How far a rule has come with a buffer or stream that grows, so that no byte is searched again and again.
///
/// All literals of the steps must occur before the steps can hold. They are looked for one after the
/// other, the rarest first, each octet once for each; only then are the steps themselves run. They are
/// run again where a literal occurs anew, or, with steps that look at other bytes, after
/// ``retryBytes`` more octets or at the end; at once where traffic waits for the verdict.
struct GrowingBuffer: Sendable, BitwiseCopyable {
  /// Octets that a buffer grows by before steps that did not hold are run again.
  static let retryBytes: UInt64 = 4096

  enum Prospect {
    /// The steps may hold on what the buffer has become.
    case worthTrying
    case notYet
    /// A literal is missing where alone it may stand, and all that was there has been seen.
    case never
  }

  private var step: Int32 = -1
  private var instance: Int32 = -1
  /// The literal that is looked for, in the order of ``PayloadProgram/literalOrder``.
  private var awaited = 0
  private var searchedTo: UInt64 = 0
  private var triedTo: UInt64 = 0
  private var wasComplete = false

  /// - Parameters:
  ///   - offset: where `bytes` begin in the whole buffer.
  ///   - isEnd: nothing follows.
  ///   - retriesAtOnce: steps are run again however little the buffer has grown.
  ///   - isFound: the literal that the prefilter looks for ends in what is new.
  mutating func prospect(
    _ program: PayloadProgram, step: Int, instance: Int, _ bytes: RawSpan, offset: UInt64,
    isEnd: Bool, retriesAtOnce: Bool, isFound: Bool = false, searched: inout UInt64
  ) -> Prospect {
    if self.step != Int32(step) || self.instance != Int32(instance) {
      self = GrowingBuffer()
      self.step = Int32(step)
      self.instance = Int32(instance)
    }
    let end = offset &+ UInt64(bytes.byteCount)
    if triedTo == end, wasComplete == isEnd, end > 0 { return .notYet }
    // Transforms make another buffer, in which the literals are.
    if program.transforms.isEmpty {
      let found = findLiterals(program, bytes, offset, end, isFound, &searched)
      guard found == .worthTrying else { return found }
    }
    if triedTo > 0 {
      if !isEnd, !retriesAtOnce, end &- triedTo < Self.retryBytes { return .notYet }
      if program.needsNewLiteral, program.transforms.isEmpty, !isFound,
        !Self.hasLiteral(program, bytes, offset, since: triedTo, &searched)
      {
        triedTo = end
        wasComplete = isEnd
        return .notYet
      }
    }
    triedTo = end
    wasComplete = isEnd
    return .worthTrying
  }

  private mutating func findLiterals(
    _ program: PayloadProgram, _ bytes: RawSpan, _ offset: UInt64, _ end: UInt64, _ isFound: Bool,
    _ searched: inout UInt64
  ) -> Prospect {
    while awaited < program.literalOrder.count {
      let step = program.literalOrder[awaited]
      if isFound, step == Int(program.foundStep) {
        awaited += 1
        searchedTo = 0
        continue
      }
      guard case .content(let content) = program.steps[step] else { return .worthTrying }
      guard !Self.isFound(content, program, bytes, offset, since: searchedTo, &searched) else {
        awaited += 1
        searchedTo = 0
        continue
      }
      searchedTo = end
      return content.boundsInBuffer.upperBound <= end ? .never : .notYet
    }
    return .worthTrying
  }

  /// One of the literals ends behind `since`.
  private static func hasLiteral(
    _ program: PayloadProgram, _ bytes: RawSpan, _ offset: UInt64, since: UInt64, _ searched: inout UInt64
  ) -> Bool {
    for index in program.steps.indices {
      guard case .content(let content) = program.steps[index], !content.isNegated else { continue }
      if isFound(content, program, bytes, offset, since: since, &searched) { return true }
    }
    return false
  }

  /// The literal stands where the rule allows it and ends behind `since`.
  private static func isFound(
    _ content: ContentInstruction, _ program: PayloadProgram, _ bytes: RawSpan, _ offset: UInt64,
    since: UInt64, _ searched: inout UInt64
  ) -> Bool {
    let bounds = content.boundsInBuffer
    let overlap = UInt64(max(0, content.literalCount - 1))
    let low = max(bounds.lowerBound, offset, since > overlap ? since - overlap : 0)
    let high = min(bounds.upperBound, offset &+ UInt64(bytes.byteCount))
    guard low < high else { return false }
    // Both lie between `offset` and the end of the bytes.
    let from = Int(low &- offset)
    let to = Int(high &- offset)
    let hit = program.find(content, in: bytes, from: from, to: to)
    searched &+= UInt64((hit.map { $0 + Int(content.literalCount) } ?? to) - from)
    return hit != nil
  }
}

extension ContentInstruction {
  /// Where in the whole buffer the literal may lie, as far as the rule says so in figures.
  fileprivate var boundsInBuffer: Range<UInt64> {
    guard !isRelative else { return 0..<UInt64.max }
    if startsWith { return 0..<UInt64(max(1, literalCount)) }
    var low: Int64 = 0
    switch offset {
    case nil: break
    case .constant(let value): low = min(max(value, -1 << 40), 1 << 40)
    case .variable: return 0..<UInt64.max
    }
    guard case .constant(let value) = depth else { return UInt64(max(0, low))..<UInt64.max }
    let high = low + min(max(value, 0), 1 << 40)
    return UInt64(max(0, low))..<UInt64(max(high, low, 0))
  }
}
