import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Synchronization
import Testing
import Traffic

@testable import Interception

extension RelayTests {
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
}
