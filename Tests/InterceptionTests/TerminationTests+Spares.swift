import Glibc
import Testing
import Traffic

@testable import Interception

/// Connections to backends that outlive their clients.
extension TerminationTests {
  /// Reads requests without bodies and answers each as `answer` says; nil ends the connection without one.
  private func counting(_ seen: Seen, _ answer: @escaping @Sendable (_ request: String, _ number: Int) -> String?) -> @Sendable (Peer) -> Void {
    { peer in
      seen.note("connection")
      var bytes: [UInt8] = []
      var number = 0
      while let more = peer.read(), !more.isEmpty {
        bytes += more
        while let end = bytes.indices.dropLast(3).first(where: { Array(bytes[$0..<$0 + 4]) == [13, 10, 13, 10] }) {
          let request = String(decoding: bytes[..<(end + 4)], as: UTF8.self)
          bytes.removeFirst(end + 4)
          number += 1
          seen.note(String(request.prefix { $0 != " " }))
          guard let text = answer(request, number) else { return }
          peer.write(Array(text.utf8))
        }
      }
      seen.note("end")
    }
  }

  private static let badGateway = InterceptionWorker.answer("502 Bad Gateway")
  private static let hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

  private func ask(_ lab: TerminationLab, _ request: [UInt8] = request) throws {
    let client = try lab.client()
    client.write(request)
    #expect(client.read(exactly: Self.answer.count) == Self.answer)
    client.close()
    waitUntil { lab.counters.active == 0 }
  }

  private func lab(_ port: UInt16, _ adjust: (inout TerminationSettings.Site) -> Void = { _ in }) throws -> TerminationLab {
    try TerminationLab { listener, _ in
      listener.sites[0].backends = [.local(port)]
      adjust(&listener.sites[0])
    }
  }

  @Test func `Clients one after another share a backend's connection, clients at a time do not`() throws {
    let seen = Seen()
    let server = try PeerServer(counting(seen) { _, _ in Self.hello })
    let lab = try lab(server.port)
    for _ in 0..<3 { try ask(lab) }
    #expect(seen.noted == ["connection", "GET", "GET", "GET"])
    let clients = try (0..<3).map { _ in try lab.client() }
    for client in clients { client.write(Self.request) }
    for client in clients { #expect(client.read(exactly: Self.answer.count) == Self.answer) }
    #expect(seen.noted.count { $0 == "connection" } == 3)
    for client in clients { client.close() }
    waitUntil { lab.counters.active == 0 }
    #expect(lab.publication.current.listeners[0].sites[0].pool.backends[0].active == 0)
    let counters = lab.stop()
    #expect(counters.backendsReused == 3)
    #expect(counters.backendRetries == 0)
    server.stop()
  }

  @Test func `A backend's TLS connection is shared too`() throws {
    let seen = Seen()
    let server = try tlsServer(counting(seen) { _, _ in Self.hello })
    let lab = try TerminationLab { listener, files in
      listener.sites[0].backends = [.local(server.port)]
      var tls = BackendTLS(name: "server.example")
      tls.trustFile = files[1].path
      listener.sites[0].backendTLS = tls
    }
    for _ in 0..<3 { try ask(lab) }
    let counters = lab.stop()
    #expect(counters.upstreamHandshakes == 1)
    #expect(counters.backendsReused == 2)
    server.stop()
  }

  @Test(arguments: [
    ("", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"),
    ("", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ("", "HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 5\r\n\r\nhello"),
    // More than was asked for.
    ("", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmore"),
    ("Authorization: NTLM x\r\n", hello), ("Connection: close\r\n", hello),
  ])
  func `A connection that its backend ends, or that is someone's, is not kept`(field: String, answer: String) throws {
    let seen = Seen()
    let server = try PeerServer(counting(seen) { _, _ in answer })
    let lab = try lab(server.port)
    for _ in 0..<2 {
      let client = try lab.client()
      client.write(Array("GET / HTTP/1.1\r\nHost: a\r\n\(field)\r\n".utf8))
      #expect(client.read(exactly: answer.utf8.count) == Array(answer.utf8))
      client.close()
      waitUntil { lab.counters.active == 0 }
    }
    #expect(lab.stop().backendsReused == 0)
    server.stop()
    #expect(seen.noted.count { $0 == "connection" } == 2)
  }

  @Test func `A client that leaves before its answer leaves no connection behind, and none is kept where none shall be`() throws {
    let seen = Seen()
    let gate = Gate()
    let server = try PeerServer(counting(seen) { _, _ in
      gate.wait()
      return Self.hello
    })
    let lab = try lab(server.port)
    let client = try lab.client()
    client.write(Self.request)
    waitUntil { seen.noted.contains("GET") }
    client.close()
    gate.open()
    waitUntil { lab.counters.active == 0 }
    try ask(lab)
    #expect(lab.stop().backendsReused == 0)
    let other = try self.lab(server.port) { $0.keptCount = 0 }
    for _ in 0..<2 { try ask(other) }
    #expect(other.stop().backendsReused == 0)
    server.stop()
  }

  @Test func `A kept connection is closed when its time is over`() throws {
    let seen = Seen()
    let server = try PeerServer(counting(seen) { _, _ in Self.hello })
    let lab = try lab(server.port) { $0.keptSeconds = 1 }
    try ask(lab)
    #expect(!seen.noted.contains("end"))
    waitUntil { seen.noted.contains("end") }
    lab.stop()
    server.stop()
  }

  @Test func `A backend that had ended its connection, or spoken unasked, is called anew`() throws {
    for words in ["", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"] {
      let seen = Seen()
      let ended = Seen()
      let server = try PeerServer { peer in
        seen.note("connection")
        _ = peer.read()
        peer.write(Self.answer)
        usleep(100_000)
        peer.write(Array(words.utf8))
        if words.isEmpty { peer.close() }
        ended.note("said")
        _ = peer.read()
      }
      let lab = try lab(server.port)
      try ask(lab)
      waitUntil { ended.noted.count == 1 }
      try ask(lab)
      #expect(lab.stop().backendsReused == 0)
      server.stop()
      #expect(seen.noted.count == 2)
    }
  }

  @Test(arguments: ["GET", "POST"])
  func `What was asked on a connection that ends meanwhile is asked again only where it may come twice`(method: String) throws {
    let seen = Seen()
    // Its second request on a connection it hears and does not answer.
    let server = try PeerServer(counting(seen) { _, number in number == 1 ? Self.hello : nil })
    let lab = try lab(server.port)
    try ask(lab)
    let client = try lab.client()
    client.write(Array("\(method) /\(method) HTTP/1.1\r\nHost: a\r\n\(method == "POST" ? "Content-Length: 0\r\n" : "")\r\n".utf8))
    if method == "GET" {
      #expect(client.read(exactly: Self.answer.count) == Self.answer)
    } else {
      #expect(client.readToEnd() == Self.badGateway)
    }
    client.close()
    let counters = lab.stop()
    #expect(counters.backendsReused == 1)
    #expect(counters.backendsUnanswered == (method == "GET" ? 0 : 1))
    #expect(counters.backendRetries == (method == "GET" ? 1 : 0))
    server.stop()
    #expect(seen.noted.count { $0 == method } == (method == "GET" ? 3 : 1))
  }

  @Test func `A connection that is kept and has ended is replaced while a client waits with its request`() throws {
    let gate = Gate()
    let seen = Seen()
    let server = try PeerServer { peer in
      seen.note("connection")
      let isFirst = seen.noted.count == 1
      _ = peer.read()
      peer.write(Self.answer)
      if isFirst { gate.wait() } else { _ = peer.read() }
    }
    let lab = try lab(server.port)
    try ask(lab)
    let client = try lab.client()
    waitUntil { lab.counters.backendsReused == 1 }
    gate.open()
    waitUntil { lab.counters.backendRetries == 1 }
    client.write(Self.request)
    #expect(client.read(exactly: Self.answer.count) == Self.answer)
    client.close()
    lab.stop()
    server.stop()
    #expect(seen.noted.count == 2)
  }

  private func words(_ method: String) -> [UInt8] {
    Array("\(method) / HTTP/1.1\r\nHost: a\r\n\(method == "POST" ? "Content-Length: 2\r\n\r\nxy" : "\r\n")".utf8)
  }

  @Test(arguments: ["GET", "POST"], [true, false])
  func `A backend that breaks off between two requests of a client is called anew, or answered for`(method: String, resets: Bool) throws {
    let seen = Seen()
    let server = try PeerServer { peer in
      seen.note("connection")
      let isFirst = seen.noted.count == 1
      while let request = peer.read(), !request.isEmpty {
        seen.note(String(decoding: request.prefix(4), as: UTF8.self))
        if isFirst, seen.noted.count > 2 { return peer.close(reset: resets) }
        peer.write(Self.answer)
      }
    }
    let lab = try lab(server.port)
    let client = try lab.client()
    client.write(Self.request)
    #expect(client.read(exactly: Self.answer.count) == Self.answer)
    client.write(words(method))
    if method == "GET" {
      #expect(client.read(exactly: Self.answer.count) == Self.answer)
    } else {
      #expect(client.readToEnd() == Self.badGateway)
    }
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.backendRetries == (method == "GET" ? 1 : 0))
    #expect(counters.backendsUnanswered == (method == "GET" ? 0 : 1))
    #expect(seen.noted.count == (method == "GET" ? 5 : 3))
    let sent = Self.request.count + words(method).count
    #expect(lab.recorder.summaries.map { $0.bytesForwarded[0] >= UInt64(sent) } == [true])
  }

  @Test(arguments: ["GET", "POST"], [true, false])
  func `A new connection that ends without an answer is answered for, and told of`(method: String, resets: Bool) throws {
    let server = try PeerServer { peer in
      _ = peer.read()
      peer.close(reset: resets)
    }
    let lab = try lab(server.port)
    let client = try lab.client()
    client.write(words(method))
    #expect(client.readToEnd() == Self.badGateway)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.backendsUnanswered == 1)
    #expect(counters.backendRetries == 0)
    let told = lab.recorder.events.compactMap { if case .ended(.failed(.toClient, let text)) = $0 { text } else { nil } }
    #expect(told.count == 1 && told.allSatisfy { $0.contains("127.0.0.1") && $0.contains("502") })
  }

  @Test func `An answer that has begun stays cut off, and one that came before the end is passed on`() throws {
    for answer in ["HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "HTTP/1.1 413 Large\r\nConnection: close\r\n\r\nno"] {
      let server = try PeerServer { peer in
        _ = peer.read()
        peer.write(Array(answer.utf8))
      }
      let lab = try lab(server.port)
      let client = try lab.client()
      client.write(Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".utf8))
      #expect(client.read(exactly: answer.utf8.count) == Array(answer.utf8))
      #expect((client.read() ?? []).isEmpty)
      client.close()
      #expect(lab.stop().backendsUnanswered == 0)
      server.stop()
    }
  }
}
