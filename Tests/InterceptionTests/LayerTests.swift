import CSluiceOpenSSL
import Glibc
import Testing
import Traffic

@testable import Interception

/// TLS within what is relayed.
@Suite(.serialized) struct LayerTests {
  static let connect = Array("CONNECT a.wild.example:443 HTTP/1.1\r\n\r\n".utf8)
  static let granted = Array("HTTP/1.1 200 Fine\r\n\r\n".utf8)

  /// A proxy that is spoken to by `depth` layers of TLS, each after its own CONNECT, and echoes inside the last.
  private func proxy(_ depth: Int, isPlain: Bool = false, _ seen: Seen = Seen()) throws -> PeerServer {
    let context = try PeerContext.server(Lab.leaf(), Lab.serverKey)
    return try PeerServer { peer in
      if !isPlain { guard peer.startTLS(context) else { return } }
      for layer in 1..<depth {
        guard peer.read(exactly: Self.connect.count) == Self.connect, peer.write(Self.granted) else { return seen.note("no CONNECT") }
        guard layer == 1 && isPlain ? peer.startTLS(context) : peer.startInnerTLS(context) else { return seen.note("no TLS") }
      }
      while let bytes = peer.read(), !bytes.isEmpty {
        seen.add(bytes)
        if !peer.write(bytes) { return }
      }
      peer.endWriting()
    }
  }

  private func client(_ lab: Lab, _ names: [String], isPlain: Bool = false, trusting last: CertificateAuthority? = nil) throws -> Peer {
    let peer = try Peer.connect(port: lab.port)
    let context = try PeerContext.client(trusting: lab.authority)
    for (layer, name) in names.enumerated() {
      let trusted = layer == names.count - 1 && last != nil ? try PeerContext.client(trusting: last) : context
      if layer > 0 || isPlain {
        peer.write(Self.connect)
        try #require(peer.read(exactly: Self.granted.count) == Self.granted)
      }
      let ok = layer == 0 ? peer.startTLS(trusted, name: name) : peer.startInnerTLS(trusted, name: name)
      try #require(ok, "\(peer.handshakeError?.text ?? "")")
    }
    return peer
  }

  @Test(arguments: [2, 3])
  func `TLS within a proxy's TLS is opened too`(depth: Int) throws {
    let server = try proxy(depth)
    let lab = try Lab(server: server.port)
    let names = ["server.example", "a.wild.example", "b.wild.example"].prefix(depth)
    let client = try client(lab, Array(names))
    let sent = pattern(700_000)
    for start in stride(from: 0, to: sent.count, by: 10_000) {
      let part = Array(sent[start..<min(sent.count, start + 10_000)])
      #expect(client.write(part))
      #expect(client.read(exactly: part.count) == part)
    }
    client.endWriting()
    #expect(client.readToEnd() == [])
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(lab.recorder.facts.map(\.sni) == names.map { $0 })
    #expect(lab.recorder.facts.allSatisfy { $0.form == .decrypted && $0.upstreamVerification == .trusted })
    // The requests to the proxy, the hellos that came behind them, and what was inside all.
    let all = lab.recorder.bytes(.toServer)
    #expect(all.starts(with: Self.connect))
    #expect(sha256(Array(all.suffix(sent.count))) == sha256(sent))
    #expect(counters.layers == UInt64(depth - 1))
    #expect(counters.relayedDecrypted == 1)
    #expect(counters.active == 0)
  }

  @Test func `TLS that begins amid a relayed plain connection is opened`() throws {
    let server = try proxy(2, isPlain: true)
    let lab = try Lab(server: server.port)
    let client = try client(lab, ["server.example"], isPlain: true)
    client.write(Array("inside".utf8))
    #expect(client.read(exactly: 6) == Array("inside".utf8))
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(lab.recorder.facts.map(\.form) == [.plain, .decrypted])
    #expect(lab.recorder.bytes(.toServer).suffix(6) == Array("inside".utf8)[...])
    #expect(counters.layers == 1)
  }

  @Test func `An attack inside two layers does not reach the server`() throws {
    let seen = Seen()
    let server = try proxy(2, seen)
    let recorder = Recorder { direction, bytes in
      direction == .toServer && bytes == Array("attack!".utf8) ? .cut(reason: "attack") : .forward
    }
    let lab = try Lab(server: server.port, recorder: recorder)
    let client = try client(lab, ["server.example", "a.wild.example"])
    client.write(Array("benign!".utf8))
    #expect(client.read(exactly: 7) == Array("benign!".utf8))
    client.write(Array("attack!".utf8))
    #expect(client.read() == nil)
    client.close()
    #expect(lab.stop().cuts == 1)
    server.stop()
    #expect(seen.all == Array("benign!".utf8))
  }

  @Test func `Beyond the limit the connection is cut, or what is inside stays encrypted`() throws {
    for limit in InterceptionSettings.LayerLimit.allCases {
      let server = try proxy(3)
      let lab = try Lab(server: server.port) {
        $0.layerCountMax = 2
        $0.layerLimit = limit
      }
      let peer = try client(lab, ["server.example", "a.wild.example"])
      peer.write(Self.connect)
      #expect(peer.read(exactly: Self.granted.count) == Self.granted)
      // Left alone it is the server's own certificate that is shown.
      let ok = peer.startInnerTLS(try .client(trusting: Lab.upstream), name: "server.example")
      #expect(ok == (limit == .pass))
      if ok {
        peer.write(Array("hidden".utf8))
        #expect(peer.read(exactly: 6) == Array("hidden".utf8))
      }
      peer.close()
      let counters = lab.stop()
      server.stop()
      #expect(counters.layerLimits == 1)
      #expect(counters.cuts == 0)
      #expect(lab.recorder.events.contains(.layerLimit))
    }
  }

  private struct ByName: InterceptionPolicy {
    let action: PolicyDecision.Action
    func decide(_ facts: PolicyFacts) -> PolicyDecision {
      PolicyDecision(facts.sni == "a.wild.example" ? action : .inspect, reason: "test")
    }
  }

  @Test(arguments: [PolicyDecision.Action.tunnel, .block])
  func `Policy decides about what is inside by its own name`(action: PolicyDecision.Action) throws {
    let server = try proxy(2)
    let lab = try Lab(server: server.port, policy: ByName(action: action))
    let peer = try client(lab, ["server.example"])
    peer.write(Self.connect)
    #expect(peer.read(exactly: Self.granted.count) == Self.granted)
    let ok = peer.startInnerTLS(try .client(trusting: Lab.upstream), name: "a.wild.example")
    #expect(ok == (action == .tunnel))
    peer.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.layers == 0)
    #expect(counters.policyBlocked == (action == .block ? 1 : 0))
  }

  @Test func `An inner server that is not trusted is refused inside the outer layer`() throws {
    let outer = try PeerContext.server(Lab.leaf(), Lab.serverKey)
    let inner = try PeerContext.server(Lab.leaf(by: Lab.stranger), Lab.serverKey)
    let server = try PeerServer { peer in
      guard peer.startTLS(outer), peer.read(exactly: Self.connect.count) != nil, peer.write(Self.granted) else { return }
      _ = peer.startInnerTLS(inner)
    }
    let lab = try Lab(server: server.port)
    let peer = try client(lab, ["server.example"])
    peer.write(Self.connect)
    #expect(peer.read(exactly: Self.granted.count) == Self.granted)
    #expect(!peer.startInnerTLS(try .client(trusting: nil), name: "a.wild.example"))
    #expect(peer.handshakeError?.alert == 49)
    peer.close()
    #expect(lab.stop().upstreamUntrusted == 1)
    server.stop()
  }

  @Test func `What only begins like a hello passes as it is`() throws {
    let seen = Seen()
    let server = try proxy(1, seen)
    let lab = try Lab(server: server.port) { $0.malformedHello = .relay }
    let client = try client(lab, ["server.example"])
    let sent: [UInt8] = [22, 3, 1, 0, 8, 1, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]
    client.write(sent)
    #expect(client.read(exactly: sent.count) == sent)
    // And one that never ends.
    let open: [UInt8] = [22, 3, 1, 1, 0, 1, 0, 0, 200, 3, 3]
    client.write(open)
    client.endWriting()
    #expect(client.readToEnd() == open)
    client.close()
    lab.stop()
    server.stop()
    #expect(seen.all == sent + open)
  }
}
