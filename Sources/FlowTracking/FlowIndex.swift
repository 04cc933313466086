/// A flow's place in the slab of its worker; other per-flow slabs use the same number.
///
/// Valid until the flow is removed; then the place may serve another flow.
public struct FlowIndex: Sendable, Hashable, BitwiseCopyable {
  public let rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// For tables that run parallel to the flow slab.
  @inlinable
  public var index: Int { Int(rawValue) }

  /// The end of a list inside the slab.
  @usableFromInline static let none = FlowIndex(rawValue: .max)
}
