import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Synchronization
import Testing
import Traffic

@testable import Interception

extension RelayTests {
  @Test func `A server that fails its handshake by an alert has the client see that alert`() throws {
    let server = try PeerServer { peer in
      _ = peer.read()
      // fatal unrecognized_name
      peer.write([21, 3, 3, 0, 2, 2, 112])
    }
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(!client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    #expect(client.handshakeError?.alert == 112)
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.events.contains {
      if case .upstreamHandshakeFailed(let failure) = $0 { return failure.cause == .alert(112) }
      return false
    })
  }

  @Test func `A client that wants neither our certificate nor to say why is told of`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    client.write(ClientHelloPeekTests.record(ClientHelloPeekTests.message))
    // ServerHello comes only if the sketchy hello is acceptable; either way the client leaves.
    client.sendFIN()
    _ = client.readToEnd()
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.active == 0)
    #expect(counters.clientHandshakes == 0)
    #expect(counters.clientHandshakeFailures + counters.clientGone + counters.upstreamHandshakeFailures == 1)
  }

  @Test func `Garbage behind a TLS record header is refused, and no server is called`() throws {
    let seen = Seen()
    let server = try PeerServer { _ in seen.note("called") }
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    client.write([22, 3, 1, 0x00, 0x10] + pattern(500))
    // fatal decode_error
    #expect(client.readToEnd() == [21, 3, 3, 0, 2, 2, 50])
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted.isEmpty)
    #expect(counters.helloMalformed == 1)
  }

  @Test func `Garbage that is no TLS at all passes as plain bytes`() throws {
    let server = try PeerServer(echo)
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    let garbage = [UInt8(0)] + pattern(5_000)
    client.write(garbage)
    #expect(client.read(exactly: garbage.count) == garbage)
    client.close()
    lab.stop()
    server.stop()
  }

  @Test func `A hello that never ends times out`() throws {
    let server = try PeerServer { _ in }
    let lab = try Lab(server: server.port) { $0.helloTimeoutMilliseconds = 50 }
    let client = try Peer.connect(port: lab.port)
    client.write([22, 3, 1])
    #expect(client.read() == nil)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.helloTimeouts == 1)
    #expect(lab.recorder.events == [.helloTimedOut])
  }

  @Test func `An idle connection is ended on both sides`() throws {
    let seen = Seen()
    let server = try PeerServer { peer in
      _ = peer.read(exactly: 2)
      seen.note(peer.read() == nil ? "reset" : "end")
    }
    let lab = try Lab(server: server.port) { $0.idleTimeoutMilliseconds = 80 }
    let client = try Peer.connect(port: lab.port)
    client.write(Array("hi".utf8))
    #expect(client.read() == nil)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.idleTimeouts == 1)
    #expect(seen.noted == ["reset"])
  }

  @Test func `A silent server is given up at the handshake's time limit`() throws {
    let server = try PeerServer { peer in _ = peer.readToEnd() }
    let lab = try Lab(server: server.port) { $0.handshakeTimeoutMilliseconds = 60 }
    let client = try Peer.connect(port: lab.port)
    #expect(!client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.handshakeTimeouts == 1)
    #expect(lab.recorder.events.contains(.handshakeTimedOut(.toClient)))
  }

  @Test func `Octets corrupted on either leg end that connection and no other`() throws {
    let server = try tlsServer()
    let upstreamNoise = Noise(seed: 11)
    let far = try PeerServer { [port = server.port] near in
      guard let peer = try? Peer.connect(port: port) else { return }
      upstreamNoise.join(near, peer)
    }
    let lab = try Lab(server: far.port, recorder: Recorder(keepsBytes: false)) { $0.handshakeTimeoutMilliseconds = 500 }
    let clientNoise = Noise(seed: 23)
    let near = try PeerServer { [port = lab.port] client in
      guard let peer = try? Peer.connect(port: port) else { return }
      clientNoise.join(client, peer)
    }
    let context = try PeerContext.client(trusting: lab.authority)
    for round in 0..<120 {
      upstreamNoise.arm(round % 3 == 0)
      clientNoise.arm(round % 3 == 1)
      let client = try Peer.connect(port: near.port)
      let ok = client.startTLS(context, name: "server.example")
      if ok {
        client.write(pattern(3_000))
        let back = client.read(exactly: 3_000)
        // What arrives is right or nothing: corruption never shows as other bytes.
        #expect(back == nil || back == pattern(3_000))
        #expect(back != nil || round % 3 != 2)
      }
      #expect(ok || round % 3 != 2)
      client.close(reset: round % 2 == 0)
    }
    near.stop()
    waitUntil { lab.counters.active == 0 }
    let counters = lab.stop()
    far.stop()
    server.stop()
    #expect(counters.active == 0)
    #expect(counters.relayedDecrypted >= 40)
    #expect(counters.relayFailures + counters.clientHandshakeFailures + counters.upstreamHandshakeFailures > 0)
  }

  @Test func `Three thousand connections of every kind leave no descriptor behind`() throws {
    let server = try tlsServer { peer in
      _ = peer.read()
      peer.write([1])
    }
    let lab = try Lab(server: server.port, recorder: Recorder(keepsBytes: false))
    let context = try PeerContext.client(trusting: lab.authority)
    func one(_ index: Int) throws {
      let client = try Peer.connect(port: lab.port)
      switch index % 5 {
      case 0: client.write(Array("plain".utf8))
      case 1: client.close(reset: true)
      case 2: client.write([22, 3, 1, 0])
      default:
        #expect(client.startTLS(context, name: "server.example"))
        client.write([1])
        if index % 2 == 0 { _ = client.read() }
      }
      client.close(reset: index % 3 == 0)
    }
    for index in 0..<20 { try one(index) }
    waitUntil { lab.counters.active == 0 }
    let before = openDescriptors()
    for index in 0..<3_000 { try one(index) }
    waitUntil { lab.counters.active == 0 && openDescriptors() <= before }
    let counters = lab.stop()
    server.stop()
    #expect(counters.accepted == 3_020)
    #expect(counters.active == 0)
  }

  private func openDescriptors() -> Int {
    guard let directory = unsafe opendir("/proc/self/fd") else { return -1 }
    defer { unsafe closedir(directory) }
    var count = 0
    while unsafe readdir(directory) != nil { count += 1 }
    return count
  }

  @Test func `More servers than leaves, verifications and sessions are kept: nothing grows, and each is opened all the same`() throws {
    let certificates = try (0..<24).map { _ in try Lab.leaf() }
    let contexts = try certificates.map { try PeerContext.server($0, Lab.serverKey) }
    let next = Atomic(0)
    let server = try PeerServer { peer in
      let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
      if peer.startTLS(contexts[turn % contexts.count]) { echo(peer) }
    }
    let lab = try Lab(server: server.port) {
      $0.leafCountMax = 8
      $0.verificationCountMax = 8
      $0.sessionCountMax = 8
    }
    let trust = try PeerContext.client(trusting: lab.authority)
    var shown: [[UInt8]] = []
    for _ in 0..<3 * contexts.count {
      let client = try Peer.connect(port: lab.port)
      try #require(client.startTLS(trust, name: "server.example"))
      shown.append(client.certificate()?.fingerprint() ?? [])
      client.write([1, 2, 3])
      #expect(client.read(exactly: 3) == [1, 2, 3])
      client.close()
    }
    let counters = lab.stop()
    server.stop()
    // Each came again after sixteen others: none of those eight was it.
    #expect(counters.leavesMinted == 72)
    #expect(counters.leafEvictions == 64)
    #expect(counters.leafCacheHits == 0)
    #expect(Set(shown).count == 72)
    #expect(lab.recorder.facts.count == 72)
  }
}
