import Traffic

/// A packet that a test stands for, from its IP header on unless it says otherwise.
struct TestPacket: Sendable, Equatable {
  var time: Timestamp
  var bytes: [UInt8]
  var link = LinkType.raw
}

/// Writes the packets between the two hosts of a test, each a millisecond after the one before.
///
/// - Source: RFC 791, RFC 768, RFC 792, RFC 9293; checksums are right.
struct TestPackets {
  let client: IPAddress
  let server: IPAddress
  private(set) var packets: [TestPacket] = []
  private var nextTime = Timestamp(seconds: 1_700_000_000)
  private var identification: UInt16 = 1

  /// Octets of data in one datagram; what IPv4 can hold less its headers.
  static let datagramBytesMax = 65_535 - 28
  private static let gapNanoseconds: Int64 = 1_000_000

  init(client: IPAddress, server: IPAddress) {
    self.client = client
    self.server = server
  }

  mutating func udp(_ direction: Direction, clientPort: UInt16, serverPort: UInt16, _ payload: [UInt8]) {
    let ports = direction == .toServer ? (clientPort, serverPort) : (serverPort, clientPort)
    var datagram: [UInt8] = []
    datagram.append(word: ports.0)
    datagram.append(word: ports.1)
    datagram.append(word: UInt16(truncatingIfNeeded: 8 + payload.count))
    datagram += [0, 0] + payload
    let sum = pseudoChecksum(direction, IPProtocol.udp, datagram)
    // 0 on the wire would mean that there is no checksum.
    datagram.put(word: sum == 0 ? 0xffff : sum, at: 6)
    append(direction, IPProtocol.udp, datagram)
  }

  mutating func icmp(type: UInt8, code: UInt8, identifier: UInt16, sequence: UInt16, _ payload: [UInt8]) {
    var message: [UInt8] = [type, code, 0, 0]
    message.append(word: identifier)
    message.append(word: sequence)
    message += payload
    message.put(word: Self.checksum(message), at: 2)
    append(.toServer, IPProtocol.icmp, message)
  }

  /// - Parameters:
  ///   - flags: as in the header, FIN is 1.
  ///   - options: a multiple of four octets.
  mutating func tcp(
    _ direction: Direction, clientPort: UInt16, serverPort: UInt16, sequence: UInt32,
    acknowledgement: UInt32, flags: UInt8, options: [UInt8] = [], _ payload: ArraySlice<UInt8> = []
  ) {
    let ports = direction == .toServer ? (clientPort, serverPort) : (serverPort, clientPort)
    var segment: [UInt8] = []
    segment.append(word: ports.0)
    segment.append(word: ports.1)
    for number in [sequence, acknowledgement] {
      segment.append(word: UInt16(truncatingIfNeeded: number >> 16))
      segment.append(word: UInt16(truncatingIfNeeded: number))
    }
    segment += [UInt8(truncatingIfNeeded: (20 + options.count) / 4) << 4, flags, 0xff, 0xff, 0, 0, 0, 0]
    segment += options + payload
    segment.put(word: pseudoChecksum(direction, IPProtocol.tcp, segment), at: 16)
    append(direction, IPProtocol.tcp, segment)
  }

  private mutating func append(_ direction: Direction, _ ipProtocol: UInt8, _ content: [UInt8]) {
    var packet: [UInt8] = [0x45, 0]
    packet.append(word: UInt16(truncatingIfNeeded: 20 + content.count))
    packet.append(word: identification)
    packet += [0x40, 0, 64, ipProtocol, 0, 0]  // do not fragment; TTL 64
    packet += addresses(direction)
    packet.put(word: Self.checksum(packet), at: 10)
    packets.append(TestPacket(time: nextTime, bytes: packet + content))
    identification &+= 1
    nextTime.nanoseconds &+= Self.gapNanoseconds
  }

  private func addresses(_ direction: Direction) -> [UInt8] {
    direction == .toServer
      ? client.networkBytes + server.networkBytes : server.networkBytes + client.networkBytes
  }

  private func pseudoChecksum(_ direction: Direction, _ ipProtocol: UInt8, _ content: [UInt8]) -> UInt16 {
    var bytes = addresses(direction) + [0, ipProtocol]
    bytes.append(word: UInt16(truncatingIfNeeded: content.count))
    return Self.checksum(bytes + content)
  }

  /// - Source: RFC 1071.
  static func checksum(_ bytes: [UInt8]) -> UInt16 {
    // At most 65,535 octets: the sum has at most 31 bits.
    var sum: UInt32 = 0
    for (index, byte) in bytes.enumerated() {
      sum &+= index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte)
    }
    while sum >> 16 != 0 { sum = sum & 0xffff &+ sum >> 16 }
    return ~UInt16(truncatingIfNeeded: sum)
  }
}

/// How what one side says at a time is cut into segments: it must make no difference.
enum TestCutting: Sendable, CaseIterable {
  /// Segments as large as Ethernet carries.
  case large
  /// An octet each.
  case octets
  /// A few octets each, the last one first, and acknowledged once all are there.
  case backwards

  var segmentBytes: Int {
    switch self {
    case .large: 1460
    case .octets: 1
    case .backwards: 7
    }
  }
}

/// A TCP connection with handshake, data that is acknowledged, and an orderly end.
struct TestConnection {
  private(set) var packets: TestPackets
  private let cutting: TestCutting
  private let clientPort: UInt16
  private let serverPort: UInt16
  private var nextSequence: (client: UInt32, server: UInt32) = (1000, 5000)

  private static let maximumSegmentSize: [UInt8] = [2, 4, 0x05, 0xb4]
  private static let fin: UInt8 = 1
  private static let syn: UInt8 = 2
  private static let psh: UInt8 = 8
  private static let ack: UInt8 = 16

  init(_ packets: TestPackets, cutting: TestCutting, clientPort: UInt16, serverPort: UInt16) {
    self.packets = packets
    self.cutting = cutting
    self.clientPort = clientPort
    self.serverPort = serverPort
    segment(.toServer, Self.syn, options: Self.maximumSegmentSize)
    nextSequence.client &+= 1
    segment(.toClient, Self.syn | Self.ack, options: Self.maximumSegmentSize)
    nextSequence.server &+= 1
    segment(.toServer, Self.ack)
  }

  mutating func send(_ direction: Direction, _ bytes: [UInt8]) {
    let starts = Array(stride(from: 0, to: bytes.count, by: cutting.segmentBytes))
    guard cutting != .backwards else { return sendBackwards(direction, bytes, starts) }
    for start in starts {
      let part = bytes[start..<min(start + cutting.segmentBytes, bytes.count)]
      segment(direction, Self.psh | Self.ack, part)
      advance(direction, by: UInt32(truncatingIfNeeded: part.count))
      segment(direction.opposite, Self.ack)
    }
  }

  /// As many segments at a time as a window holds.
  private mutating func sendBackwards(_ direction: Direction, _ bytes: [UInt8], _ starts: [Int]) {
    for first in stride(from: 0, to: starts.count, by: Self.segmentsInFlight) {
      let end = min(first + Self.segmentsInFlight, starts.count)
      let base = starts[first]
      for index in (first..<end).reversed() {
        let part = bytes[starts[index]..<min(starts[index] + cutting.segmentBytes, bytes.count)]
        segment(
          direction, Self.psh | Self.ack, ahead: UInt32(truncatingIfNeeded: starts[index] - base), part)
      }
      let last = end < starts.count ? starts[end] : bytes.count
      advance(direction, by: UInt32(truncatingIfNeeded: last - base))
      segment(direction.opposite, Self.ack)
    }
  }

  private static let segmentsInFlight = 64

  mutating func close() {
    for direction in [Direction.toServer, .toClient] {
      segment(direction, Self.fin | Self.ack)
      advance(direction, by: 1)
    }
    segment(.toServer, Self.ack)
  }

  private mutating func advance(_ direction: Direction, by count: UInt32) {
    if direction == .toServer { nextSequence.client &+= count } else { nextSequence.server &+= count }
  }

  private mutating func segment(
    _ direction: Direction, _ flags: UInt8, options: [UInt8] = [], ahead: UInt32 = 0,
    _ payload: ArraySlice<UInt8> = []
  ) {
    let isToServer = direction == .toServer
    let peer = isToServer ? nextSequence.server : nextSequence.client
    packets.tcp(
      direction, clientPort: clientPort, serverPort: serverPort,
      sequence: (isToServer ? nextSequence.client : nextSequence.server) &+ ahead,
      acknowledgement: flags & Self.ack != 0 ? peer : 0, flags: flags, options: options, payload)
  }
}

extension [UInt8] {
  /// Two octets, the high one first.
  mutating func append(word: UInt16) {
    append(UInt8(truncatingIfNeeded: word >> 8))
    append(UInt8(truncatingIfNeeded: word))
  }

  /// Overwrites two octets that are there.
  mutating func put(word: UInt16, at index: Int) {
    guard index >= 0, index + 1 < count else { return }
    self[index] = UInt8(truncatingIfNeeded: word >> 8)
    self[index + 1] = UInt8(truncatingIfNeeded: word)
  }

  /// Behind its length in `octets` octets, the high one first.
  func prefixed(octets: Int) -> [UInt8] {
    let length = (0..<octets).reversed().map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
    return length + self
  }
}
