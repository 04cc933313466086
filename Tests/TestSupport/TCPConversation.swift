import Traffic

/// A packet as a capture would hold it.
public struct BuiltPacket: Sendable, Hashable {
  public var time: Timestamp
  public var bytes: [UInt8]
  public init(time: Timestamp, bytes: [UInt8]) {
    self.time = time
    self.bytes = bytes
  }
}

/// Writes down a TCP connection packet by packet, with right sequence numbers and steady times.
///
/// Each packet is `gap` later than the one before, so that a test replays exactly.
public struct TCPConversation {
  public enum Framing: Sendable {
    case ethernet
    /// From the IP header on (`LinkType.raw`).
    case raw
  }

  public let client: IPAddress
  public let server: IPAddress
  public let clientPort: UInt16
  public let serverPort: UInt16
  public var framing: Framing
  public var vlans: [VLANTag] = []
  /// The sequence number of the next byte of each side, by `Direction.index`.
  public var nextSequence: [UInt32]
  public var window: UInt16 = 65_535
  /// After each segment of one side the other one acknowledges it.
  public var acknowledges = true
  /// The time of the next packet, and how far apart packets are.
  public var time: Timestamp
  public var gapNanoseconds: Int64 = 1_000_000
  /// What has been written down so far.
  public private(set) var packets: [BuiltPacket] = []
  private var identification: UInt16 = 1

  public init(
    client: IPAddress = ip("10.0.0.1"), server: IPAddress = ip("192.0.2.80"),
    clientPort: UInt16 = 40_000, serverPort: UInt16 = 80, framing: Framing = .ethernet,
    clientSequence: UInt32 = 1000, serverSequence: UInt32 = 5000,
    start: Timestamp = Timestamp(seconds: 1_700_000_000)
  ) {
    self.client = client
    self.server = server
    self.clientPort = clientPort
    self.serverPort = serverPort
    self.framing = framing
    nextSequence = [clientSequence, serverSequence]
    time = start
  }

  /// SYN, SYN-ACK, ACK.
  public mutating func handshake(
    clientOptions: [TCPOption] = [.maximumSegmentSize(1460), .sackPermitted, .windowScale(7)],
    serverOptions: [TCPOption] = [.maximumSegmentSize(1460), .sackPermitted, .windowScale(7)]
  ) {
    syn(options: clientOptions)
    emit(.toClient, [.syn, .ack], options: serverOptions)
    nextSequence[Direction.toClient.index] &+= 1
    emit(.toServer, [.ack])
  }

  /// The SYN alone.
  public mutating func syn(options: [TCPOption] = [.maximumSegmentSize(1460)]) {
    emit(.toServer, [.syn], options: options)
    nextSequence[Direction.toServer.index] &+= 1
  }

  /// `bytes` in segments of at most `segmentSize` octets, each acknowledged by the peer.
  public mutating func send(_ direction: Direction, _ bytes: [UInt8], segmentSize: Int = 1460) {
    for start in stride(from: 0, to: bytes.count, by: max(1, segmentSize)) {
      let slice = Array(bytes[start..<min(start + max(1, segmentSize), bytes.count)])
      emit(direction, [.psh, .ack], payload: slice)
      nextSequence[direction.index] &+= UInt32(truncatingIfNeeded: slice.count)
      if acknowledges { emit(direction.opposite, [.ack]) }
    }
  }

  public mutating func send(_ direction: Direction, _ text: String, segmentSize: Int = 1460) {
    send(direction, Array(text.utf8), segmentSize: segmentSize)
  }

  /// Moves one side's sequence number on without a packet: the octets are lost.
  public mutating func lose(_ direction: Direction, octets: UInt32) {
    nextSequence[direction.index] &+= octets
  }

  /// A segment anywhere in the sequence space; moves nothing on. For overlaps and retransmits.
  /// - Parameter offset: octets from the next sequence number of that side, negative for the past.
  public mutating func inject(
    _ direction: Direction, _ bytes: [UInt8], offset: Int, flags: TCPFlags = [.psh, .ack]
  ) {
    let moved = nextSequence[direction.index] &+ UInt32(truncatingIfNeeded: offset)
    emit(direction, flags, payload: bytes, sequence: moved)
  }

  /// FIN from `side`, FIN from the other, last ACK.
  public mutating func fin(from side: Direction = .toServer) {
    for direction in [side, side.opposite] {
      emit(direction, [.fin, .ack])
      nextSequence[direction.index] &+= 1
    }
    emit(side, [.ack])
  }

  public mutating func rst(from side: Direction = .toServer) { emit(side, [.rst, .ack]) }

  /// Lets time pass before the next packet.
  public mutating func wait(seconds: Int64) {
    time = Timestamp(nanoseconds: time.nanoseconds + seconds * 1_000_000_000)
  }

  /// One segment as told, at the next time; the sequence numbers stay.
  public mutating func emit(
    _ direction: Direction, _ flags: TCPFlags, options: [TCPOption] = [], payload: [UInt8] = [],
    sequence: UInt32? = nil
  ) {
    let isToServer = direction == .toServer
    var segment = TCPSegment(
      from: isToServer ? clientPort : serverPort, to: isToServer ? serverPort : clientPort,
      sequence: sequence ?? nextSequence[direction.index],
      acknowledgment: flags.contains(.ack) ? nextSequence[direction.opposite.index] : 0,
      flags: flags, options: options, payload: payload)
    segment.window = window
    let source = isToServer ? client : server
    let destination = isToServer ? server : client
    var network = ipPacket(source, destination, segment)
    if let packet = network as? IPv4Packet {
      network = packet.with { $0.identification = identification }
    }
    identification &+= 1
    let bytes =
      framing == .raw ? network.bytes : EthernetFrame(network, vlans: vlans).bytes
    packets.append(BuiltPacket(time: time, bytes: bytes))
    time = Timestamp(nanoseconds: time.nanoseconds + gapNanoseconds)
  }
}

extension [BuiltPacket] {
  /// The same packets in another order; the times stay in order.
  public func reordered(using generator: inout SeededGenerator, within window: Int = 4) -> Self {
    var order = [Int](indices)
    for i in order.indices {
      let j = Int.random(in: i..<Swift.min(i + Swift.max(1, window), order.count), using: &generator)
      order.swapAt(i, j)
    }
    return zip(self, order).map { BuiltPacket(time: $0.time, bytes: self[$1].bytes) }
  }

  /// About one in `oneIn` packets comes twice.
  public func duplicated(using generator: inout SeededGenerator, oneIn: Int = 3) -> Self {
    flatMap { packet in
      Int.random(in: 0..<Swift.max(1, oneIn), using: &generator) == 0 ? [packet, packet] : [packet]
    }
  }
}
