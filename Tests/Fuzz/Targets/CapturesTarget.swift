import Capture
import TestSupport

enum CapturesTarget {
  static func run(_ bytes: [UInt8]) {
    var source = PcapFileSource(bytes: bytes, name: "f.pcap")
    var count: UInt64 = 0
    do throws(CaptureError) {
      // A small file may be compressed and say much; the rest of it would say nothing new.
      while count < 10_000,
        try source.next({ packet in
          precondition(packet.bytes.byteCount <= packet.originalLength || packet.originalLength >= 0)
        })
      {
        count += 1
      }
    } catch {
      _ = error.description
    }
    precondition(source.packetCount == count)
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    var talk = TCPConversation()
    talk.handshake()
    talk.send(.toServer, "GET / HTTP/1.1\r\n\r\n")
    var little = PcapWriter(), big = PcapWriter(nanosecond: true, bigEndian: true)
    var blocks = PcapngWriter(packets: [])
    var blocksBig = PcapngWriter(bigEndian: true, packets: [])
    for packet in talk.packets {
      little.add(packet)
      big.add(packet)
      blocks.addEnhanced(packet)
      blocksBig.addSimple(packet.bytes)
    }
    return [("pcap", little.bytes), ("pcap-big", big.bytes), ("pcapng", blocks.bytes), ("pcapng-big", blocksBig.bytes)]
  }
}
