import PacketDecoding
import Traffic

/// The states of RFC 9293 as an onlooker sees them: of the server's side where the client closes
/// first (`closeWait`, `lastAck`), of the server's where it closes first (`finWait1` …).
public enum TCPState: UInt8, Sendable, Hashable, BitwiseCopyable {
  case none, synSent, synReceived, established
  case finWait1, finWait2, closing, closeWait, timeWait, lastAck, closed

  /// The client is done, or both sides are: what was said is looked at without waiting for more.
  /// - Source: seen of Suricata 8, which inspects every piece of a stream in these states.
  public var isClosing: Bool {
    switch self {
    case .closeWait, .lastAck, .closing, .closed: true
    case .none, .synSent, .synReceived, .established, .finWait1, .finWait2, .timeWait: false
    }
  }

  /// The state as EVE flow records write it.
  public var eveName: String {
    switch self {
    case .none: "none"
    case .synSent: "syn_sent"
    case .synReceived: "syn_recv"
    case .established: "established"
    case .finWait1: "fin_wait1"
    case .finWait2: "fin_wait2"
    case .closing: "closing"
    case .closeWait: "close_wait"
    case .timeWait: "time_wait"
    case .lastAck: "last_ack"
    case .closed: "closed"
    }
  }
}

/// - Source: Suricata `stream`, with its defaults.
public struct TCPSessionSettings: Sendable, Hashable {
  /// Sessions are also picked up without their handshake.
  public var midstream = false
  /// Sessions of which only one side is seen are followed.
  public var asyncOneside = false
  /// A SYN/ACK whose SYN was not seen begins a session with its sender as the server.
  public var picksUpSynAck: Bool { (midstream || asyncOneside) && !refusesMidstream }
  /// A policy ends connections that are picked up before anything is followed.
  public var refusesMidstream = false
  /// FIN and RST of no known session are invalid, else they are only told of.
  public var refusesEndsWithoutSession = false
  /// Packets whose checksum was found wrong are not tracked.
  public var checksumValidation = true
  /// Packets can be dropped: data that a client did not yet ask for is refused.
  public var isInline = false
  /// Who has lost a connection may open another on its addresses and ports, as ends by themselves have it: a SYN passes where a
  /// session still stands, and so does the answer of a server that has not lost its own (RFC 5961 section 4). Otherwise whoever
  /// was cut off could not come back from that port until the flow times out.
  public var renewsSessions = false
  /// Different SYN/ACKs waited for before `3whs_synack_flood`; two of them are remembered.
  public var synAckQueuedMax: UInt8 = 5
  /// SYNs with different sequence numbers before `3whs_syn_flood`; two of them are remembered.
  public var synQueuedMax: UInt8 = 10

  public init() {}
}

/// The state machine of one TCP connection, fed with the packets of both directions.
///
/// Legal transitions: none → synSent → synReceived → established → (client closes first)
/// closeWait → lastAck → closed, or (server first) finWait1 → finWait2 or closing → timeWait →
/// closed; RST leads to closed from anywhere; midstream pick-up begins at established.
/// - Source: RFC 9293 section 3.10.7, RFC 7323 (scale, PAWS), RFC 5961 (RST); the events are
///   Suricata's `stream-event`.
public struct TCPSession: Sendable, BitwiseCopyable {
  public internal(set) var state = TCPState.none
  public internal(set) var client = TCPEnd()
  public internal(set) var server = TCPEnd()
  /// Picked up without its handshake.
  public internal(set) var isMidstream = false
  /// Only one side is seen.
  public internal(set) var isOneSided = false
  /// Of a session picked up in its middle: the side that packets came from so far, as long as the other has
  /// sent none.
  var onlySideSeen: Direction?
  /// The SYN carried the fast open option and data (RFC 7413).
  public internal(set) var isFastOpen = false
  /// Both ends sent a SYN before a SYN/ACK (simultaneous open, or the split handshake).
  public internal(set) var isFourWay = false
  /// It is picked up without its handshake whatever the settings say: it was followed before.
  var mayBePickedUp = false
  /// Data of the client was acknowledged: the handshake cannot have been another one.
  var isConfirmed = false
  /// The timestamp of the first SYN; those sent again carry later ones.
  var firstSynTimestamp: UInt32 = 0
  var synOffers = SynOffers()
  var synAckOffers = SynOffers()

  public init() {}

  /// The end that sends in `direction`.
  @inline(__always)
  public func sender(_ direction: Direction) -> TCPEnd {
    direction == .toServer ? client : server
  }

  /// Follows one packet and says what it is.
  public mutating func track(
    _ packet: borrowing DecodedPacket, _ direction: Direction, _ time: Timestamp,
    _ settings: TCPSessionSettings
  ) -> TCPTrackResult {
    var result = TCPTrackResult()
    guard packet.isTCP else { return result }
    if packet.transportChecksum == .invalid, settings.checksumValidation {
      result.flags.insert(.badChecksum)
      if isEstablishedNow { result.flags.insert(.established) }
      return result
    }
    let segment = TCPSegment(packet, direction, time)
    if !segment.has(TCPFields.ack), segment.tcp.acknowledgement != 0 {
      result.events.insert(.packetBrokenAck)
    }
    if segment.has(TCPFields.fin), segment.has(TCPFields.syn) { result.events.insert(.finSyn) }
    if let side = onlySideSeen, side != segment.direction {
      onlySideSeen = nil
      isOneSided = false
    }
    switch state {
    case .none: trackFirst(segment, settings, &result)
    case .synSent: trackSynSent(segment, settings, &result)
    case .synReceived: trackSynReceived(segment, settings, &result)
    case .established, .finWait1, .finWait2, .closing, .closeWait, .timeWait, .lastAck:
      trackOpen(segment, settings, &result)
    case .closed: trackClosed(segment, settings, &result)
    }
    if isEstablishedNow { result.flags.insert(.established) }
    if isOneSided { result.flags.insert(.oneSided) }
    return result
  }

  /// Whether a SYN begins another session on the addresses and ports of this one
  /// (RFC 9293 section 3.6.1: also out of TIME-WAIT).
  public func isReuse(_ tcp: TCPFields, _ direction: Direction) -> Bool {
    guard tcp.has(TCPFields.syn), !tcp.has(TCPFields.ack) else { return false }
    switch state {
    case .none, .synSent, .synReceived, .established, .finWait1, .finWait2: return false
    case .closing, .closeWait, .timeWait, .lastAck, .closed:
      return tcp.sequence != sender(direction).initialSequence
    }
  }

  var isEstablishedNow: Bool {
    switch state {
    case .none, .synSent, .synReceived: false
    case .established, .finWait1, .finWait2, .closing, .closeWait, .timeWait, .lastAck, .closed: true
    }
  }

  mutating func swapSides() {
    swap(&client, &server)
    switch state {
    case .finWait1, .finWait2: state = .closeWait
    case .closeWait: state = .finWait1
    case .none, .synSent, .synReceived, .established, .closing, .timeWait, .lastAck, .closed: break
    }
  }
}

/// The facts of one segment that the state machine needs.
struct TCPSegment {
  let tcp: TCPFields
  let direction: Direction
  let payloadLength: UInt32
  let seconds: Int64

  init(_ packet: borrowing DecodedPacket, _ direction: Direction, _ time: Timestamp) {
    tcp = packet.tcp
    self.direction = direction
    payloadLength = UInt32(clamping: packet.payloadLength)
    seconds = time.seconds
  }

  /// The sequence number after the payload, without SYN and FIN.
  var payloadEnd: UInt32 { tcp.sequence &+ payloadLength }

  func has(_ flag: UInt8) -> Bool { tcp.flags & flag != 0 }

  /// It acknowledges and does nothing else.
  var isBareAcknowledgement: Bool {
    payloadLength == 0
      && tcp.flags & (TCPFields.ack | TCPFields.syn | TCPFields.fin | TCPFields.rst) == TCPFields.ack
  }
}

/// Other SYNs or SYN/ACKs of one end, any of which the peer may have taken.
struct SynOffers: Sendable, BitwiseCopyable {
  struct Offer: Sendable, BitwiseCopyable {
    var sequence: UInt32 = 0
    var timestamp: UInt32 = 0
    var window: UInt16 = 0
    var maximumSegmentSize: UInt16 = 0
    var windowScale: UInt8 = 255
    var sackPermitted = false
    var hasTimestamp = false
  }

  private var first = Offer()
  private var second = Offer()
  /// How many came; the two latest are kept.
  private(set) var count: UInt8 = 0

  mutating func add(_ tcp: TCPFields) {
    if count > 0, first.sequence == tcp.sequence { return }
    if count > 1, second.sequence == tcp.sequence { return }
    second = first
    first = Offer(
      sequence: tcp.sequence, timestamp: tcp.timestampValue, window: tcp.window,
      maximumSegmentSize: tcp.maximumSegmentSize, windowScale: tcp.windowScale,
      sackPermitted: tcp.sackPermitted, hasTimestamp: tcp.hasTimestamp)
    count = count == .max ? count : count &+ 1
  }

  /// The offer that `acknowledgement` answers.
  func answered(by acknowledgement: UInt32) -> TCPFields? {
    if count > 0, first.sequence &+ 1 == acknowledgement { return fields(first) }
    if count > 1, second.sequence &+ 1 == acknowledgement { return fields(second) }
    return nil
  }

  private func fields(_ offer: Offer) -> TCPFields {
    var tcp = TCPFields()
    tcp.sequence = offer.sequence
    tcp.timestampValue = offer.timestamp
    tcp.window = offer.window
    tcp.maximumSegmentSize = offer.maximumSegmentSize
    tcp.windowScale = offer.windowScale
    tcp.sackPermitted = offer.sackPermitted
    tcp.hasTimestamp = offer.hasTimestamp
    return tcp
  }
}
