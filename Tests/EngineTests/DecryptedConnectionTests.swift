import Capture
import PacketDecoding
import Testing
import Traffic

@testable import Engine

/// What is written of a connection is decoded again: headers, checksums, numbers.
@Suite struct DecryptedConnectionTests {
  private static let time = Timestamp(seconds: 1_700_000_000)

  private func flow(_ client: String, _ server: String) throws -> FlowTuple {
    FlowTuple(
      source: try #require(IPAddress(client)), destination: try #require(IPAddress(server)),
      sourcePort: 40_000, destinationPort: 443, ipProtocol: IPProtocol.tcp)
  }

  private func packets(_ blocks: [UInt8]) -> [(packet: DecodedPacket, payload: [UInt8])] {
    var found: [(DecodedPacket, [UInt8])] = []
    PcapngWriting.forEachFrame(in: blocks.rawSpan) { frame in
      let packet = PacketDecoder(settings: DecoderSettings()).decode(frame, link: .ethernet, time: Self.time)
      let start = Int(packet.payloadOffset)
      found.append((packet, frame.extracting(start..<start + Int(packet.payloadLength)).copied()))
    }
    return found
  }

  private func chunk(
    _ connection: inout DecryptedConnection, _ bytes: [UInt8], _ direction: Direction, isEnd: Bool = false
  ) -> [UInt8] {
    connection.blocks(
      StreamChunk(bytes: bytes.rawSpan, direction: direction, offset: 0, isEnd: isEnd, time: Self.time))
  }

  @Test(arguments: [("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2")])
  func everyOctetIsThereOnceAndEverySegmentIsRight(_ client: String, _ server: String) throws {
    var connection = DecryptedConnection(try flow(client, server), serverPort: 80, comment: "test")
    let request = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
    var blocks = chunk(&connection, request, .toServer)
    blocks += chunk(&connection, [1, 2, 3], .toClient, isEnd: true)
    blocks += chunk(&connection, [], .toServer, isEnd: true)
    blocks += connection.end(at: Self.time)
    let all = packets(blocks)

    var next: [UInt16: UInt32] = [:]
    var octets: [UInt16: [UInt8]] = [:]
    for (packet, payload) in all {
      #expect(packet.isTCP && packet.events.isEmpty)
      #expect(packet.networkChecksum != .invalid && packet.transportChecksum == .valid)
      #expect(payload.count <= DecryptedConnection.segmentBytesMax)
      if let wanted = next[packet.sourcePort] { #expect(packet.tcp.sequence == wanted) }
      let counts = packet.tcp.flags & (TCPFields.syn | TCPFields.fin) != 0
      next[packet.sourcePort] = packet.tcp.sequence &+ UInt32(payload.count) &+ (counts ? 1 : 0)
      if packet.tcp.has(TCPFields.ack) { #expect(packet.tcp.acknowledgement == next[packet.destinationPort]) }
      octets[packet.sourcePort, default: []] += payload
    }
    #expect(octets == [40_000: request, 80: [1, 2, 3]])
    #expect(all.first?.packet.tcp.flags == TCPFields.syn)
    #expect(all.filter { $0.packet.tcp.has(TCPFields.fin) }.count == 2)
    #expect(!all.contains { $0.packet.tcp.has(TCPFields.rst) })
  }

  @Test func whatDidNotEndInOrderIsReset() throws {
    var connection = DecryptedConnection(try flow("192.0.2.1", "198.51.100.2"), serverPort: nil, comment: "")
    var blocks = chunk(&connection, [1], .toServer)
    blocks += chunk(&connection, [], .toClient, isEnd: true)
    blocks += connection.end(at: Self.time)
    #expect(packets(blocks).last?.packet.tcp.has(TCPFields.rst) == true)
    #expect(packets(blocks).first?.packet.destinationPort == 443)
  }

  @Test func aConnectionThatCarriedNothingIsNotWritten() throws {
    var connection = DecryptedConnection(try flow("192.0.2.1", "198.51.100.2"), serverPort: nil, comment: "")
    #expect(connection.end(at: Self.time).isEmpty)
  }
}
