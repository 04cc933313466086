import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Synchronization
import Testing
import Traffic

@testable import Interception

@Suite(.serialized) struct RelayTests {
  struct Leg: Sendable, CustomStringConvertible {
    var family: Int32
    var client: Int32
    var server: Int32
    var description: String { "\(family == AF_INET6 ? "IPv6" : "IPv4") \(String(client, radix: 16)) \(String(server, radix: 16))" }
  }
  static let legs = [
    Leg(family: AF_INET, client: TLS1_3_VERSION, server: TLS1_3_VERSION),
    Leg(family: AF_INET6, client: TLS1_3_VERSION, server: TLS1_2_VERSION),
    Leg(family: AF_INET, client: TLS1_2_VERSION, server: TLS1_2_VERSION),
  ]

  @Test(arguments: legs)
  func `Bytes pass both ways unchanged, and both versions of TLS meet in the middle`(leg: Leg) throws {
    let server = try tlsServer(family: leg.family, version: leg.server, protocols: ["http/1.1"])
    let lab = try Lab(server: server.port, family: leg.family)
    let context = try PeerContext.client(trusting: lab.authority, version: leg.client, lowest: TLS1_2_VERSION)
    let client = try Peer.connect(port: lab.port, family: leg.family)
    let ok = client.startTLS(context, name: "server.example", protocols: ["h2", "http/1.1"])
    #expect(ok, "\(client.handshakeError?.text ?? "")")
    // The server takes the first that it is offered: both legs speak it.
    #expect(client.selectedProtocol == "h2")
    let sent = pattern(5_000_000)
    let got = client.exchange(sent, reading: sent.count)
    #expect(got.map { sha256($0) } == sha256(sent))
    client.endWriting()
    #expect(client.readToEnd() == [])
    #expect(client.sawCloseNotify)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(sha256(lab.recorder.bytes(.toServer)) == sha256(sent))
    #expect(sha256(lab.recorder.bytes(.toClient)) == sha256(sent))
    #expect(lab.recorder.record.withLock { $0.offsetsInOrder })
    #expect(lab.recorder.record.withLock { Set($0.ends) } == [.toServer, .toClient])
    #expect(lab.recorder.summaries.map(\.end) == [.finished])
    #expect(lab.recorder.summaries.first?.bytesForwarded == [5_000_000, 5_000_000])
    let facts = try #require(lab.recorder.facts.first)
    #expect(facts.form == .decrypted)
    #expect(facts.sni == "server.example")
    #expect(facts.alpnOffered == ["h2", "http/1.1"])
    #expect(facts.alpn == "h2")
    #expect(facts.tlsVersion == UInt16(leg.client))
    #expect(facts.upstreamTLSVersion == UInt16(min(leg.client, leg.server)))
    #expect(facts.upstreamVerification == .trusted)
    #expect(facts.flow.destinationPort == server.port)
    #expect(facts.clientHello.first == 22)
    #expect(facts.upstreamCertificates.count == 1)
    #expect(counters.active == 0)
    #expect(counters.finished == 1)
  }

  @Test func `Plain bytes pass and are inspected too`() throws {
    let server = try PeerServer(echo)
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    let sent = Array("GET / HTTP/1.1\r\n".utf8) + pattern(3_000_000)
    let writer = try WorkerThread.start { [client] in
      client.write(sent)
      client.sendFIN()
    }
    let got = client.readToEnd()
    writer.join()
    #expect(got.map { sha256($0) } == sha256(sent))
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(lab.recorder.facts.first?.form == .plain)
    #expect(sha256(lab.recorder.bytes(.toServer)) == sha256(sent))
    #expect(counters.relayedPlain == 1)
    #expect(counters.finished == 1)
  }

  @Test func `Half-close by close_notify leaves the other direction open`() throws {
    let seen = Seen()
    let server = try tlsServer { peer in
      guard let all = peer.readToEnd() else { return seen.note("broken") }
      seen.add(all)
      peer.write(pattern(200_000))
      peer.endWriting()
    }
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.write(Array("request".utf8))
    client.endWriting()
    #expect(client.readToEnd() == pattern(200_000))
    client.close()
    lab.stop()
    server.stop()
    #expect(seen.all == Array("request".utf8))
    #expect(seen.noted.isEmpty)
    #expect(lab.recorder.summaries.map(\.end) == [.finished])
  }

  @Test func `A truncated stream stays truncated`() throws {
    let server = try tlsServer { peer in
      peer.write([1, 2, 3])
      // FIN without close_notify.
      peer.sendFIN()
      _ = peer.read()
    }
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    #expect(client.read(exactly: 3) == [1, 2, 3])
    #expect(client.read() == nil)
    #expect(!client.sawCloseNotify)
    client.close()
    lab.stop()
    server.stop()
  }

  @Test func `A reset on one side is a reset on the other`() throws {
    let seen = Seen()
    let server = try PeerServer { peer in
      peer.write(Array("x".utf8))
      seen.note(peer.readToEnd() == nil ? "reset" : "end")
    }
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    client.write(Array("hello there".utf8))
    #expect(client.read(exactly: 1) == Array("x".utf8))
    client.close(reset: true)
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted == ["reset"])
    #expect(counters.resets == 1)
    #expect(lab.recorder.summaries.map(\.end) == [.reset(by: .toServer)])
  }

  @Test func `A receiver that does not read slows its sender down, and loses nothing`() throws {
    let count = 24_000_000
    let gate = Gate()
    let seen = Seen()
    let server = try tlsServer { peer in
      gate.wait()
      var total = 0
      while let bytes = peer.read(), !bytes.isEmpty { total += bytes.count }
      seen.note("\(total)")
      peer.endWriting()
    }
    let lab = try Lab(server: server.port, recorder: Recorder(keepsBytes: false))
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    let writer = try WorkerThread.start { [client] in
      client.write([UInt8](repeating: 7, count: count))
      client.endWriting()
    }
    waitUntil { lab.counters.backpressure > 0 }
    // The sender is held: what passed is what the kernel's buffers take, not everything.
    #expect(lab.counters.bytesToServer < UInt64(count))
    gate.open()
    writer.join()
    #expect(client.readToEnd() == [])
    client.close()
    lab.stop()
    server.stop()
    #expect(seen.noted == ["\(count)"])
  }
}
