/// Reads bytes that came from outside, front to back; the one place where wire bytes are indexed.
///
/// A read past the end yields nil and leaves the position where it was. Numbers are big-endian
/// (network order) unless the name says otherwise.
public struct ByteReader: ~Escapable {
  @usableFromInline let bytes: RawSpan
  /// Octets consumed so far; 0 <= offset <= count.
  @usableFromInline var offset: Int

  @inlinable
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) {
    self.bytes = bytes
    offset = 0
  }

  /// Octets consumed so far.
  @inlinable
  public var position: Int { offset }

  @inlinable
  public var count: Int { bytes.byteCount }
  @inlinable
  public var remaining: Int { bytes.byteCount &- position }
  @inlinable
  public var isAtEnd: Bool { position >= bytes.byteCount }

  @inlinable
  @_lifetime(self: copy self)
  public mutating func u8() -> UInt8? {
    guard remaining >= 1 else { return nil }
    let value = bytes.u8(at: position)
    advance(1)
    return value
  }

  @inlinable
  @_lifetime(self: copy self)
  public mutating func u16() -> UInt16? {
    guard remaining >= 2 else { return nil }
    let value = bytes.u16(at: position)
    advance(2)
    return value
  }

  @inlinable
  @_lifetime(self: copy self)
  public mutating func u24() -> UInt32? {
    guard remaining >= 3 else { return nil }
    let value = UInt32(bytes.u8(at: position)) << 16 | UInt32(bytes.u16(at: position &+ 1))
    advance(3)
    return value
  }

  @inlinable
  @_lifetime(self: copy self)
  public mutating func u32() -> UInt32? {
    guard remaining >= 4 else { return nil }
    let value = bytes.u32(at: position)
    advance(4)
    return value
  }

  /// The next `count` octets without a copy; nil when there are fewer or `count` is negative.
  @inlinable
  @_lifetime(copy self)
  public mutating func take(_ count: Int) -> RawSpan? {
    guard count >= 0, count <= remaining else { return nil }
    let slice = bytes.extracting(position..<(position &+ count))
    advance(count)
    return slice
  }

  /// All that is left, without a copy.
  @inlinable
  @_lifetime(copy self)
  public func rest() -> RawSpan { bytes.extracting(position..<bytes.byteCount) }

  /// - Returns: false when there are fewer than `count` octets left.
  @inlinable
  @_lifetime(self: copy self)
  public mutating func skip(_ count: Int) -> Bool {
    guard count >= 0, count <= remaining else { return false }
    advance(count)
    return true
  }

  @inlinable
  @_lifetime(self: copy self)
  mutating func advance(_ count: Int) { offset &+= count }
}
