import Capture
import PacketDecoding
import Traffic

/// Writes what a relayed connection carried as a TCP connection in the clear: handshake, data that is
/// acknowledged, end. Frames are Ethernet with made-up addresses, so that any tool takes them.
struct DecryptedConnection {
  private let client: PacketAssembly.Endpoint
  private let server: PacketAssembly.Endpoint
  private let comment: String
  private var nextSequence: (client: UInt32, server: UInt32) = (1, 1)
  private var isOpen = false
  private var hasEnded: (client: Bool, server: Bool) = (false, false)

  /// Frames fit an interface with the usual MTU of 1500, IPv6 included.
  static let segmentBytesMax = 1440
  private static let clientMAC: [UInt8] = [0x02, 0, 0, 0, 0, 0x01]
  private static let serverMAC: [UInt8] = [0x02, 0, 0, 0, 0, 0x02]

  /// - Parameters:
  ///   - flow: from client to server.
  ///   - serverPort: shown instead of the real one; tools that know protocols by port want that.
  ///   - comment: written at the first packet.
  init(_ flow: FlowTuple, serverPort: UInt16?, comment: String) {
    client = .init(address: flow.source, port: flow.sourcePort)
    server = .init(address: flow.destination, port: serverPort ?? flow.destinationPort)
    self.comment = comment
  }

  /// The packets of a stretch, as blocks of a pcapng file.
  mutating func blocks(_ chunk: borrowing StreamChunk) -> [UInt8] {
    var blocks = open(at: chunk.time)
    var start = 0
    while start < chunk.bytes.byteCount {
      let end = min(start &+ Self.segmentBytesMax, chunk.bytes.byteCount)
      blocks += segment(
        chunk.direction, TCPFields.psh | TCPFields.ack, chunk.bytes.extracting(start..<end), chunk.time)
      start = end
    }
    if chunk.isEnd, !ended(chunk.direction) {
      setEnded(chunk.direction)
      blocks += segment(chunk.direction, TCPFields.fin | TCPFields.ack, RawSpan(), chunk.time)
    }
    return blocks + segment(chunk.direction.opposite, TCPFields.ack, RawSpan(), chunk.time)
  }

  /// The end of the connection: in order where both directions ended, else a reset.
  mutating func end(at time: Timestamp) -> [UInt8] {
    guard isOpen, !(hasEnded.client && hasEnded.server) else { return [] }
    return segment(.toServer, TCPFields.rst | TCPFields.ack, RawSpan(), time)
  }

  private mutating func open(at time: Timestamp) -> [UInt8] {
    guard !isOpen else { return [] }
    isOpen = true
    nextSequence = (0, 0)
    return segment(.toServer, TCPFields.syn, RawSpan(), time, comment: comment)
      + segment(.toClient, TCPFields.syn | TCPFields.ack, RawSpan(), time)
      + segment(.toServer, TCPFields.ack, RawSpan(), time)
  }

  private mutating func segment(
    _ direction: Direction, _ flags: UInt8, _ payload: RawSpan, _ time: Timestamp, comment: String? = nil
  ) -> [UInt8] {
    let isToServer = direction == .toServer
    let own = isToServer ? nextSequence.client : nextSequence.server
    let peer = isToServer ? nextSequence.server : nextSequence.client
    let packet = PacketAssembly.tcp(
      from: isToServer ? client : server, to: isToServer ? server : client, sequence: own,
      acknowledgement: flags & TCPFields.ack != 0 ? peer : 0, flags: flags, payload: payload)
    let counted = flags & (TCPFields.syn | TCPFields.fin) != 0 ? 1 : 0
    let next = own &+ UInt32(truncatingIfNeeded: payload.byteCount &+ counted)
    if isToServer { nextSequence.client = next } else { nextSequence.server = next }
    let type: [UInt8] = client.address.isIPv4 ? [0x08, 0x00] : [0x86, 0xdd]
    let addresses = isToServer ? Self.serverMAC + Self.clientMAC : Self.clientMAC + Self.serverMAC
    return PcapngWriting.packet(addresses + type + packet, at: time, comment: comment)
  }

  private func ended(_ direction: Direction) -> Bool {
    direction == .toServer ? hasEnded.client : hasEnded.server
  }

  private mutating func setEnded(_ direction: Direction) {
    if direction == .toServer { hasEnded.client = true } else { hasEnded.server = true }
  }
}
