import PacketDecoding
import Traffic

/// What reassembly needs to know of a TCP segment besides its payload.
public struct StreamSegment: Sendable, BitwiseCopyable {
  public var direction: Direction
  /// As in the header: that of the SYN where there is one, else of the first payload octet.
  public var sequence: UInt32
  public var acknowledgement: UInt32
  /// The acknowledgement is valid and was found plausible.
  public var hasAcknowledgement: Bool
  public var isSyn: Bool
  public var isFin: Bool
  public var time: Timestamp
  /// What the receiver of this segment does with overlaps.
  public var policy: OverlapPolicy
  /// Do not wait for acknowledgements, whatever the settings say (only one side is seen).
  public var deliversNow = false
  /// Nobody looks at its octets, as they are ciphertext: they are counted past as soon as they are next in order, and
  /// not remembered.
  public var isOpaque = false
  /// The urgent pointer where it is valid: the last urgent octet is the one before it (RFC 6093).
  public var urgentPointer: UInt16 = 0

  public init(
    direction: Direction, sequence: UInt32, acknowledgement: UInt32 = 0,
    hasAcknowledgement: Bool = false, isSyn: Bool = false, isFin: Bool = false, time: Timestamp,
    policy: OverlapPolicy = .bsd
  ) {
    self.direction = direction
    self.sequence = sequence
    self.acknowledgement = acknowledgement
    self.hasAcknowledgement = hasAcknowledgement
    self.isSyn = isSyn
    self.isFin = isFin
    self.time = time
    self.policy = policy
  }

  /// Of a TCP packet that tracking has accepted.
  public init(
    _ packet: borrowing DecodedPacket, direction: Direction, policy: OverlapPolicy = .bsd
  ) {
    let tcp = packet.tcp
    self.init(
      direction: direction, sequence: tcp.sequence, acknowledgement: tcp.acknowledgement,
      hasAcknowledgement: tcp.has(TCPFields.ack), isSyn: tcp.has(TCPFields.syn),
      isFin: tcp.has(TCPFields.fin), time: packet.time, policy: policy)
    if tcp.has(TCPFields.urg) { urgentPointer = tcp.urgentPointer }
  }
}

/// What became of a segment.
public struct ReassemblyResult: Sendable, BitwiseCopyable {
  public var events = StreamEventSet()
  /// The segment carries other data than was accepted for the same octets. Inline callers drop it
  /// or rewrite it with ``StreamReassembler/forEachAccepted(flow:direction:sequence:count:_:)``.
  public var isConflicting = false
  /// Part of the segment waits (for a hole to fill, or for its acknowledgement).
  public var isHeld = false
  /// The segment is not taken because of its urgent data; inline callers drop it.
  public var isUrgentRefused = false
  /// Part of the segment was refused for a limit; it will be missing.
  public var isRefused = false
  /// What refused it was the memory or the number of pieces that may wait. Inline callers drop it: once the hole
  /// before it is filled, it is sent again and needs to wait no more.
  public var isOverLimit = false
  /// The stream has reached its depth; the rest of it is not delivered.
  public var isDepthReached = false
  /// The whole segment lies beyond the depth: who looks at its payload has to look at the packet.
  public var isBeyondDepth = false

  @inlinable
  public init() {}
}
