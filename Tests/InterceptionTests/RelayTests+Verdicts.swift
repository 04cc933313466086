import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Synchronization
import Testing
import Traffic

@testable import Interception

extension RelayTests {
  @Test func `What the inspector cuts never reaches the server`() throws {
    let seen = Seen()
    let server = try tlsServer { peer in
      while let bytes = peer.read(), !bytes.isEmpty {
        seen.add(bytes)
        peer.write([UInt8(ascii: "k")])
      }
    }
    let recorder = Recorder { _, bytes in
      bytes.contains(UInt8(ascii: "!")) ? .cut(reason: "marker") : .forward
    }
    let lab = try Lab(server: server.port, recorder: recorder)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.write(Array("good".utf8))
    #expect(client.read(exactly: 1) == [UInt8(ascii: "k")])
    client.write(Array("bad!".utf8))
    #expect(client.read() == nil, "a cut is a reset, not an end")
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.all == Array("good".utf8))
    #expect(counters.cuts == 1)
    #expect(recorder.bytes(.toServer) == Array("goodbad!".utf8))
    #expect(recorder.summaries.map(\.end) == [.cut(reason: "marker")])
    #expect(recorder.summaries.first?.bytesForwarded == [4, 1])
  }

  @Test func `By setting, a cut ends the client's leg with close_notify`() throws {
    let server = try tlsServer()
    let recorder = Recorder { _, _ in .cut(reason: "all") }
    let lab = try Lab(server: server.port, recorder: recorder) { $0.cutStyle = .alert }
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.write([1])
    #expect(client.readToEnd() == [])
    #expect(client.sawCloseNotify)
    client.close()
    lab.stop()
    server.stop()
  }

  @Test func `A block page reaches the client whole and the server is reset`() throws {
    let seen = Seen()
    let server = try tlsServer { peer in
      while true {
        guard let bytes = peer.read() else { return seen.note("reset") }
        if bytes.isEmpty { return seen.note("end") }
        seen.add(bytes)
      }
    }
    let page = Array("HTTP/1.1 403 Forbidden\r\nContent-Length: 300000\r\n\r\n".utf8) + pattern(300_000)
    let recorder = Recorder { direction, _ in direction == .toServer ? .block(response: page, reason: "rule 7") : .forward }
    let lab = try Lab(server: server.port, recorder: recorder)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.write(Array("GET /evil HTTP/1.1\r\n\r\n".utf8))
    #expect(client.readToEnd() == page)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.all == [])
    #expect(seen.noted == ["reset"])
    #expect(counters.blocks == 1)
    #expect(recorder.summaries.map(\.end) == [.blocked(reason: "rule 7")])
  }

  @Test func `Other octets may pass in a chunk's place, and its sender is told something`() throws {
    let seen = Seen()
    let server = try tlsServer { peer in
      while let bytes = peer.read(), !bytes.isEmpty {
        seen.add(bytes)
        peer.write(Array("answer ".utf8))
      }
      peer.endWriting()
    }
    let recorder = Recorder { direction, bytes in
      direction == .toServer && bytes == Array("bad".utf8)
        ? .rewrite(forward: Array("good".utf8), back: Array("no ".utf8), reason: "test") : .forward
    }
    let lab = try Lab(server: server.port, recorder: recorder)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.write(Array("fine".utf8))
    #expect(client.read(exactly: 7) == Array("answer ".utf8))
    client.write(Array("bad".utf8))
    #expect(client.read(exactly: 10) == Array("no answer ".utf8))
    client.endWriting()
    #expect(client.readToEnd() == [])
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.all == Array("finegood".utf8))
    #expect(counters.streamCuts == 1)
    #expect(counters.finished == 1)
    #expect(recorder.events.contains(.streamCut(reason: "test")))
  }
}
