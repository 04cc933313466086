import Traffic

/// A packet read from a capture, borrowed for the length of one call.
public struct CapturedPacket: ~Escapable {
  /// What was captured, beginning with the header that `linkType` names.
  public let bytes: RawSpan
  public let linkType: LinkType
  public let time: Timestamp
  /// Octets the packet had on the wire; never less than `bytes.byteCount`.
  public let originalLength: Int
  /// The position in its file, from 1: what Wireshark shows, and EVE as `pcap_cnt`.
  public let number: UInt64

  @inlinable
  @_lifetime(copy bytes)
  public init(
    bytes: RawSpan, linkType: LinkType, time: Timestamp, originalLength: Int, number: UInt64
  ) {
    self.bytes = bytes
    self.linkType = linkType
    self.time = time
    self.originalLength = originalLength
    self.number = number
  }

  /// Part of the packet was not captured.
  @inlinable
  public var isTruncated: Bool { originalLength > bytes.byteCount }
}
