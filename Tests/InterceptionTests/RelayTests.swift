import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Synchronization
import Testing
import Traffic

@testable import Interception

/// A server that sends back what it gets until the client ends.
private func echo(_ peer: Peer) {
  while let bytes = peer.read(), !bytes.isEmpty, peer.write(bytes) {}
  peer.endWriting()
}

/// A TLS server for `server.example` that runs `handler` once the handshake is done.
private func tlsServer(
  family: Int32 = AF_INET, version: Int32 = 0, certificate: Certificate? = nil, protocols: [String] = [],
  _ handler: @escaping @Sendable (Peer) -> Void = echo
) throws -> PeerServer {
  let leaf = try certificate ?? Lab.leaf()
  let context = try PeerContext.server(leaf, Lab.serverKey, version: version, protocols: protocols)
  return try PeerServer(family: family) { peer in
    if peer.startTLS(context) { handler(peer) }
  }
}

private func pattern(_ count: Int, seed: UInt32 = 1) -> [UInt8] {
  var state = seed
  return (0..<count).map { _ in
    state = state &* 1_664_525 &+ 1_013_904_223
    return UInt8(truncatingIfNeeded: state >> 24)
  }
}

/// Gathers what server threads saw.
private final class Seen: Sendable {
  private let bytes = Mutex<[UInt8]>([])
  private let notes = Mutex<[String]>([])
  func add(_ more: [UInt8]) { bytes.withLock { $0 += more } }
  func note(_ text: String) { notes.withLock { $0.append(text) } }
  var all: [UInt8] { bytes.withLock { $0 } }
  var noted: [String] { notes.withLock { $0 } }
}

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
    let context = try PeerContext.client(trusting: lab.authority, version: leg.client)
    let client = try Peer.connect(port: lab.port, family: leg.family)
    let ok = client.startTLS(context, name: "server.example", protocols: ["h2", "http/1.1"])
    #expect(ok, "\(client.handshakeError?.text ?? "")")
    #expect(client.selectedProtocol == "http/1.1")
    let sent = pattern(5_000_000)
    let writer = try WorkerThread.start { [client] in
      client.write(sent)
    }
    let got = client.read(exactly: sent.count)
    writer.join()
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
    #expect(facts.alpn == "http/1.1")
    #expect(facts.tlsVersion == UInt16(leg.client))
    #expect(facts.upstreamTLSVersion == UInt16(min(leg.client, leg.server)))
    #expect(facts.upstreamVerification == .trusted)
    #expect(facts.flow.destinationPort == server.port)
    #expect(facts.clientHello.first == 22)
    #expect(facts.upstreamCertificates.count == 1)
    #expect(counters.active == 0)
    #expect(counters.finished == 1)
  }

  @Test func `The client sees a leaf with the server's names, signed by the authority`() throws {
    let original = try Lab.leaf()
    let server = try tlsServer(certificate: original)
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "a.wild.example"))
    let shown = try #require(client.certificate())
    #expect(shown.extensionValue(NID_subject_alt_name) == original.extensionValue(NID_subject_alt_name))
    #expect(shown.isSigned(by: lab.authority.certificate))
    #expect(shown.fingerprint() != original.fingerprint())
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.first?.mintedFingerprint == shown.fingerprint())
    #expect(lab.recorder.facts.first?.upstreamCertificates == [original.der()])
    #expect(lab.recorder.events.contains(.minted(fingerprint: shown.fingerprint(), trusted: true)))
  }

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

  @Test func `A server that nobody vouches for is blocked, and the client is told by an alert`() throws {
    let server = try tlsServer(certificate: Lab.leaf(by: Lab.stranger))
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(!client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    #expect(client.handshakeError?.alert == 49)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.upstreamUntrusted == 1)
    #expect(counters.leavesMinted == 0)
    #expect(lab.recorder.facts.isEmpty)
    let isTold = lab.recorder.events.contains {
      if case .upstreamUntrusted(let defect, passedOn: false) = $0 { return defect.kind == .unknownIssuer }
      return false
    }
    #expect(isTold)
  }

  @Test func `A defect that is passed on makes the client refuse, and one who trusts anyone goes through`() throws {
    let server = try tlsServer(certificate: Lab.leaf(toDays: 0))
    let lab = try Lab(server: server.port) { $0.untrustedUpstream = .passDefect }
    let careful = try Peer.connect(port: lab.port)
    #expect(!careful.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    careful.close()
    let careless = try Peer.connect(port: lab.port)
    #expect(careless.startTLS(try .client(trusting: nil)))
    let shown = try #require(careless.certificate())
    #expect(!shown.isSigned(by: lab.authority.certificate))
    careless.write([1, 2, 3])
    #expect(careless.read(exactly: 3) == [1, 2, 3])
    careless.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.clientHandshakeFailures == 1)
    #expect(lab.recorder.facts.count == 1)
    let alert = lab.recorder.events.compactMap {
      if case .clientHandshakeFailed(let failure) = $0 { return failure.cause }
      return nil
    }
    #expect(alert == [.alert(48)], "unknown_ca")
  }

  @Test func `A name the server has no certificate for is blocked`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(!client.startTLS(try .client(trusting: lab.authority), name: "elsewhere.example"))
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.events.contains {
      if case .upstreamUntrusted(let defect, _) = $0 { return defect.kind == .nameMismatch }
      return false
    })
  }

  @Test func `An address in place of a server name is no name to check`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    // Trusts anyone: as a client would that compares with an address the certificate lacks.
    #expect(client.startTLS(try .client(trusting: nil), name: "127.0.0.1"))
    client.write([1])
    #expect(client.read(exactly: 1) == [1])
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.first?.sni == "127.0.0.1")
    #expect(lab.recorder.facts.first?.upstreamVerification == .trusted)
  }

  @Test func `Both legs resume at the second visit`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port)
    let context = try PeerContext.client(trusting: lab.authority)
    var session: PeerSession?
    for visit in 0..<3 {
      let client = try Peer.connect(port: lab.port)
      #expect(client.startTLS(context, name: "server.example", session: session))
      client.write([9])
      #expect(client.read(exactly: 1) == [9])
      #expect(client.wasResumed == (visit > 0))
      session = client.session()
      client.endWriting()
      #expect(client.readToEnd() == [])
      client.close()
    }
    let counters = lab.stop()
    server.stop()
    #expect(counters.clientResumptions == 2)
    #expect(counters.upstreamResumptions == 2)
    #expect(counters.verificationCacheHits == 2)
    #expect(counters.leavesMinted == 1)
    #expect(counters.leafCacheHits == 2)
  }

  @Test func `Tunnelled TLS ends at the server's own certificate, and the inspector sees the records`() throws {
    let original = try Lab.leaf()
    let server = try tlsServer(certificate: original)
    let lab = try Lab(server: server.port, policy: UniformPolicy(.tunnel, reason: "bank"))
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: Lab.upstream), name: "server.example"))
    #expect(client.certificate()?.fingerprint() == original.fingerprint())
    client.write([1, 2])
    #expect(client.read(exactly: 2) == [1, 2])
    client.close()
    lab.stop()
    server.stop()
    let facts = try #require(lab.recorder.facts.first)
    #expect(facts.form == .tunnelled)
    #expect(facts.decision == PolicyDecision(.tunnel, reason: "bank"))
    #expect(lab.recorder.bytes(.toServer).starts(with: facts.clientHello))
    // handshake record, ServerHello
    #expect(lab.recorder.bytes(.toClient).first == 22)
  }

  @Test func `Blocked by policy, the server is never called`() throws {
    let seen = Seen()
    let server = try PeerServer { _ in seen.note("called") }
    let lab = try Lab(server: server.port, policy: UniformPolicy(.block, reason: "list 3")) { $0.cutStyle = .alert }
    let client = try Peer.connect(port: lab.port)
    #expect(!client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    #expect(client.handshakeError?.alert == 49)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted.isEmpty)
    #expect(counters.policyBlocked == 1)
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

  @Test func `A server that speaks first is heard, and its client's answer inspected`() throws {
    let server = try PeerServer { peer in
      peer.write(Array("220 ready\r\n".utf8))
      echo(peer)
    }
    let lab = try Lab(server: server.port) { $0.serverFirstWaitMilliseconds = 30 }
    let client = try Peer.connect(port: lab.port)
    #expect(client.read(exactly: 11) == Array("220 ready\r\n".utf8))
    client.write(Array("EHLO x\r\n".utf8))
    #expect(client.read(exactly: 8) == Array("EHLO x\r\n".utf8))
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.serverFirst == 1)
    #expect(lab.recorder.facts.map(\.form) == [.plain])
    #expect(lab.recorder.bytes(.toClient) == Array("220 ready\r\nEHLO x\r\n".utf8))
  }

  @Test func `A hello that comes late, after the server was called, is still taken apart`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port) { $0.serverFirstWaitMilliseconds = 10 }
    let client = try Peer.connect(port: lab.port)
    waitUntil { lab.counters.serverFirst > 0 }
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.write([5])
    #expect(client.read(exactly: 1) == [5])
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.map(\.form) == [.decrypted])
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

  @Test(.enabled(if: geteuid() == 0, "IP_TRANSPARENT needs CAP_NET_ADMIN"))
  func `The server sees the client's own address and port`() throws {
    let seen = Seen()
    let server = try tlsServer { peer in
      if let name = peerName(peer.descriptor) { seen.note("\(name.address) \(name.port)") }
      echo(peer)
    }
    let lab = try Lab(server: server.port) { $0.sourceAddress = .client }
    let client = try Peer.connect(port: lab.port, source: 9)
    let own = try #require(localName(client.descriptor))
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.write([1])
    #expect(client.read(exactly: 1) == [1])
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted == ["127.0.0.9 \(own.port)"])
    #expect(lab.recorder.facts.first?.flow.source == own.address)
    #expect(lab.recorder.facts.first?.flow.sourcePort == own.port)
    #expect(counters.otherPortFallbacks == 0)
  }

  @Test(.enabled(if: geteuid() == 0, "IP_TRANSPARENT needs CAP_NET_ADMIN"))
  func `A client's port that is taken gives way to another port of its address`() throws {
    let seen = Seen()
    let server = try PeerServer { peer in
      if let name = peerName(peer.descriptor) { seen.note("\(name.address)") }
      echo(peer)
    }
    // The same tuple is in use: a connection from 127.0.0.9:p to the server itself.
    let first = try Peer.connect(port: server.port, source: 9)
    let taken = try #require(localName(first.descriptor)).port
    let lab = try Lab(server: server.port) { $0.sourceAddress = .client }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    sluice_set_reuse_address(descriptor)
    let client = Peer(descriptor: descriptor)
    try #require(unsafe sluice_bind(descriptor, AF_INET, Peer.loopback(AF_INET).dropLast() + [9], taken) == 0)
    try #require(unsafe sluice_connect(descriptor, AF_INET, Peer.loopback(AF_INET), lab.port) == 0)
    client.write(Array("plain".utf8))
    #expect(client.read(exactly: 5) == Array("plain".utf8))
    client.close()
    first.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.otherPortFallbacks == 1)
    #expect(seen.noted == ["127.0.0.9", "127.0.0.9"])
  }

  @Test func `A port where nobody listens is refused`() throws {
    let server = try PeerServer { _ in }
    let port = server.port
    server.stop()
    let lab = try Lab(server: port)
    let client = try Peer.connect(port: lab.port)
    client.write(Array("GET / HTTP/1.1\r\n\r\n".utf8))
    #expect(client.read() == nil)
    client.close()
    let counters = lab.stop()
    #expect(counters.dialFailures == 1)
    #expect(lab.recorder.events == [.upstreamUnreachable("Connection refused")])
  }

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

  @Test func `A connection others made is relayed from the bytes they read on`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port)
    var pair: [Int32] = [0, 0]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    let upstream = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    try #require(unsafe sluice_connect(upstream, AF_INET, Peer.loopback(AF_INET), server.port) == 0)
    _ = fcntl(pair[1], F_SETFL, O_NONBLOCK)
    _ = fcntl(upstream, F_SETFL, O_NONBLOCK)
    let client = Peer(descriptor: pair[0])
    let other = pair[1]
    let name = InterceptionSettings.Destination(address: IPAddress(ipv4: 0x7f00_0001), port: 40_000)
    let destination = InterceptionSettings.Destination(address: IPAddress(ipv4: 0x7f00_0001), port: server.port)
    let context = try PeerContext.client(trusting: lab.authority)
    let handshake = try WorkerThread.start { [client] in
      if !client.startTLS(context, name: "server.example") { Issue.record("handshake failed") }
    }
    var first = [UInt8](repeating: 0, count: 10)
    var got = -1
    while got < 0 { got = unsafe recv(other, &first, 10, 0) }
    #expect(lab.adopt(AdoptedConnection(
      client: other, upstream: upstream, clientName: name, destination: destination, clientBytes: Array(first[0..<got]))))
    handshake.join()
    client.write([1, 2, 3])
    #expect(client.read(exactly: 3) == [1, 2, 3])
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.adopted == 1)
    #expect(lab.recorder.facts.first?.flow.sourcePort == 40_000)
  }

  @Test func `Stopping lets a connection finish, and resets one that does not`() throws {
    let server = try PeerServer(echo)
    let lab = try Lab(server: server.port) { $0.drainTimeoutMilliseconds = 300 }
    let client = try Peer.connect(port: lab.port)
    client.write([1])
    #expect(client.read(exactly: 1) == [1])
    let counters = lab.stop()
    #expect(client.read() == nil)
    client.close()
    server.stop()
    #expect(counters.stoppedConnections == 1)
    #expect(lab.recorder.summaries.map(\.end) == [.stopped])
    #expect(throws: InterceptionError.system(call: "connect", reason: "Connection refused")) { try Peer.connect(port: lab.port) }
  }

  @Test func `A hello sent octet by octet is read`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port)
    // A relay in front that passes the client's bytes on one at a time.
    let slow = try PeerServer { [port = lab.port] near in
      guard let far = try? Peer.connect(port: port) else { return }
      let back = try? WorkerThread.start {
        while let bytes = far.read(), !bytes.isEmpty { near.write(bytes) }
        near.sendFIN()
      }
      while let bytes = near.read(), !bytes.isEmpty {
        for byte in bytes { far.write([byte]) }
      }
      far.sendFIN()
      back?.join()
    }
    let client = try Peer.connect(port: slow.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.write(Array("slow".utf8))
    #expect(client.read(exactly: 4) == Array("slow".utf8))
    client.endWriting()
    #expect(client.readToEnd() == [])
    client.close()
    slow.stop()
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.first?.sni == "server.example")
  }

  @Test func `A thousand connections of every kind leave no descriptor behind`() throws {
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
    for index in 0..<1_000 { try one(index) }
    waitUntil { lab.counters.active == 0 && openDescriptors() <= before }
    let counters = lab.stop()
    server.stop()
    #expect(counters.accepted == 1_020)
    #expect(counters.active == 0)
  }

  private func openDescriptors() -> Int {
    guard let directory = unsafe opendir("/proc/self/fd") else { return -1 }
    defer { unsafe closedir(directory) }
    var count = 0
    while unsafe readdir(directory) != nil { count += 1 }
    return count
  }
}

/// Waits for what another thread is about to bring about; an issue where it never comes.
private func waitUntil(_ condition: () -> Bool, at place: SourceLocation = #_sourceLocation) {
  for _ in 0..<20_000 {
    if condition() { return }
    usleep(1_000)
  }
  Issue.record("never came true", sourceLocation: place)
}

/// Opens once.
private final class Gate: Sendable {
  private let isOpen = Mutex(false)
  func open() { isOpen.withLock { $0 = true } }
  func wait() { while !isOpen.withLock({ $0 }) { usleep(1_000) } }
}
