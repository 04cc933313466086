/// What rules make of the mark of the packet in hand (`nfq_set_mark`).
///
/// - Source: Suricata: `mark/mask` puts the bits of the mask in, and leaves the others as they are.
public struct MarkChange: Sendable, Hashable, BitwiseCopyable {
  public var bits: UInt32
  public var mask: UInt32

  public init(bits: UInt32, mask: UInt32) {
    self.bits = bits & mask
    self.mask = mask
  }

  /// The change and then another one.
  public func followed(by later: MarkChange) -> MarkChange {
    MarkChange(bits: bits & ~later.mask | later.bits, mask: mask | later.mask)
  }

  /// - Parameter reserved: bits that are not the rules' to change.
  public func applied(to mark: UInt32, sparing reserved: UInt32) -> UInt32 {
    let changed = mask & ~reserved
    return mark & ~changed | bits & changed
  }
}
