import PacketDecoding

/// What one end of a TCP connection has sent and offered; enough to take its place later
/// (TCP_REPAIR wants sequence, acknowledgement, window, MSS, scale, SACK and timestamps of both).
public struct TCPEnd: Sendable, Hashable, BitwiseCopyable {
  public internal(set) var initialSequence: UInt32 = 0
  /// The sequence number after all that this end has sent.
  public internal(set) var nextSequence: UInt32 = 0
  /// The highest acknowledgement that the peer gave for what this end sent.
  public internal(set) var acknowledgedByPeer: UInt32 = 0
  /// Where the greatest window that the peer offered ends.
  public internal(set) var windowEnd: UInt32 = 0
  /// The window this end offers, octets, scaled.
  public internal(set) var windowBytes: UInt32 = 0
  /// What this end sent in its SYN; 0 where it sent none.
  public internal(set) var maximumSegmentSize: UInt16 = 0
  /// The shift this end asked for in its SYN; 255 where it sent none.
  public internal(set) var windowScale: UInt8 = 255
  public internal(set) var sackPermitted = false
  public internal(set) var hasTimestamps = false
  /// The last timestamp taken from this end (RFC 7323 TS.Recent of its peer).
  public internal(set) var timestamp: UInt32 = 0
  /// When it was taken, seconds.
  public internal(set) var timestampSeconds: Int64 = 0
  /// So much was sent that the first sequence number says nothing any more of what is before and what behind it.
  var isFarFromStart = false
  /// Its sequence numbers are known.
  public internal(set) var isKnown = false
  public internal(set) var hasSentFIN = false
  public internal(set) var hasSentRST = false
  /// The sequence number of the FIN; valid where `hasSentFIN`.
  public internal(set) var finSequence: UInt32 = 0

  public init() {}

  /// The peer has acknowledged the FIN.
  public var isFINAcknowledged: Bool {
    hasSentFIN && Sequence32.isBefore(finSequence, acknowledgedByPeer)
  }

  /// A quarter of the numbers: what comes next is told from what was before in either way.
  static let farBytes: UInt32 = 1 << 30

  /// Whether the peer may acknowledge this, as far as it must not be too old: nothing from before the connection, or,
  /// once that cannot be told any more, from long ago.
  func isRecent(_ acknowledgement: UInt32) -> Bool {
    Sequence32.isAtOrBefore(isFarFromStart ? acknowledgedByPeer &- Self.farBytes : initialSequence, acknowledgement)
  }

  /// Has sent all before `sequence`.
  mutating func advance(to sequence: UInt32) {
    nextSequence = Sequence32.later(nextSequence, sequence)
    // Windows reach a gigabyte at most (RFC 7323 section 2.3), so the numbers between are met.
    if nextSequence &- initialSequence > Self.farBytes { isFarFromStart = true }
  }

  /// Begins with a SYN of this end.
  mutating func begin(_ tcp: TCPFields, _ payloadLength: UInt32, _ seconds: Int64) {
    initialSequence = tcp.sequence
    nextSequence = tcp.sequence &+ 1 &+ payloadLength
    acknowledgedByPeer = tcp.sequence &+ 1
    windowEnd = nextSequence
    windowBytes = UInt32(tcp.window)
    maximumSegmentSize = tcp.maximumSegmentSize
    windowScale = tcp.windowScale == 255 ? 255 : min(tcp.windowScale, 14)
    sackPermitted = tcp.sackPermitted
    hasTimestamps = tcp.hasTimestamp
    timestamp = tcp.timestampValue
    timestampSeconds = seconds
    isKnown = true
    isFarFromStart = false
  }

  /// Begins in the middle: what came before is unknown.
  mutating func begin(midstream sequence: UInt32) {
    initialSequence = sequence &- 1
    nextSequence = sequence
    acknowledgedByPeer = sequence
    windowEnd = sequence
    // The scale is unknown; the greatest one keeps the window check from refusing good data.
    windowScale = 14
    isKnown = true
    isFarFromStart = false
  }
}
