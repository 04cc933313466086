/// Consecutive bytes of one direction of a stream, in order: what the TCP reassembler and the
/// TLS relay both yield. Everything above them sees traffic only in this form.
public struct StreamChunk: ~Escapable {
  /// The bytes; empty where the chunk only tells of a gap or the end.
  public let bytes: RawSpan
  public let direction: Direction
  /// The position of the first byte in its direction of the stream, octets from the first one seen.
  public let offset: UInt64
  /// Octets that are missing before this chunk (lost, or beyond a limit); 0 for none.
  public let gapBefore: UInt64
  /// Nothing follows in this direction (FIN, RST, close_notify).
  public let isEnd: Bool
  /// Bytes from behind the end of what the receiver can have taken: rules on the raw stream look at
  /// them, protocols do not.
  public let isRawOnly: Bool
  public let time: Timestamp

  @inlinable
  @_lifetime(copy bytes)
  public init(
    bytes: RawSpan, direction: Direction, offset: UInt64, gapBefore: UInt64 = 0,
    isEnd: Bool = false, isRawOnly: Bool = false, time: Timestamp
  ) {
    self.bytes = bytes
    self.direction = direction
    self.offset = offset
    self.gapBefore = gapBefore
    self.isEnd = isEnd
    self.isRawOnly = isRawOnly
    self.time = time
  }
}
