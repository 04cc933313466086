import Glibc

// SAFETY: every `unsafeLoad…` below stands behind a bounds check made by the span itself or by
// the guard in front of it; integers have no invalid bit patterns.

extension RawSpan {
  /// The octet at `index`; traps outside the span, so callers check `byteCount` first.
  @inlinable
  public func u8(at index: Int) -> UInt8 {
    unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self)
  }

  /// The big-endian number at `index`; traps outside the span, so callers check `byteCount` first.
  @inlinable
  public func u16(at index: Int) -> UInt16 {
    UInt16(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: index, as: UInt16.self))
  }

  /// The big-endian number at `index`; traps outside the span, so callers check `byteCount` first.
  @inlinable
  public func u32(at index: Int) -> UInt32 {
    UInt32(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: index, as: UInt32.self))
  }

  /// The big-endian number at `index`; traps outside the span, so callers check `byteCount` first.
  @inlinable
  public func u64(at index: Int) -> UInt64 {
    UInt64(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
  }

  /// Whether both hold the same octets.
  public func holdsSame(as other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    // SAFETY: as many octets are compared as both have.
    return unsafe withUnsafeBytes { own in
      unsafe other.withUnsafeBytes { others in
        guard let own = own.baseAddress, let others = others.baseAddress else { return true }
        return unsafe memcmp(own, others, byteCount) == 0
      }
    }
  }

  /// A copy. Not for the packet path.
  @inlinable
  public func copied() -> [UInt8] {
    unsafe withUnsafeBytes { unsafe [UInt8]($0) }
  }
}

extension Array where Element == UInt8 {
  /// The octets, borrowed for as long as the array is.
  @inlinable
  public var rawSpan: RawSpan {
    @_lifetime(borrow self)
    get { unsafe span.bytes }
  }

  /// Appends the octets of `bytes`.
  @inlinable
  public mutating func append(_ bytes: RawSpan) {
    unsafe bytes.withUnsafeBytes { unsafe append(contentsOf: $0) }
  }
}
