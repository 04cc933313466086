import Traffic

extension RuleTest {
  private static let clientPort: UInt16 = 40_000
  private static let httpPort: UInt16 = 80
  private static let tlsPort: UInt16 = 443
  private static let dnsPort: UInt16 = 53
  /// Exchanges of one test; more would only be a slip of the pen.
  private static let repeatMax = 100_000

  private static let plainRequest = Array("GET / HTTP/1.1\r\nHost: sluice.test\r\n\r\n".utf8)
  private static let plainResponse = Array(
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n".utf8)

  /// The packets that the test stands for, from their IP headers on.
  func packets(cutting: TestCutting = .large) throws(RuleTestProblem) -> [TestPacket] {
    let keys = TestKeys(self)
    if kind == .raw { return try RawTestPackets.packets(parts, keys) }
    let packets = TestPackets(
      client: try keys.address("client", default: "10.0.0.10"),
      server: try keys.address("server", default: "192.168.0.80"))
    let count = try keys.number("repeat", default: 1, in: 1...Self.repeatMax)
    switch kind {
    case .httpRequest, .httpResponse, .httpExchange, .tcp, .tcpResponse, .tlsClientHello, .tlsCertificate:
      let exchange = try exchange(keys)
      var connection = TestConnection(
        packets, cutting: cutting, clientPort: Self.clientPort, serverPort: exchange.port)
      for _ in 0..<count {
        connection.send(.toServer, exchange.request)
        connection.send(.toClient, exchange.response)
      }
      connection.close()
      return connection.packets.packets
    case .tcpExchange:
      var connection = TestConnection(
        packets, cutting: cutting, clientPort: Self.clientPort,
        serverPort: try keys.number("port", default: 0))
      let first = try firstDirection(keys)
      for _ in 0..<count {
        for (index, part) in parts.enumerated() { connection.send(index % 2 == 0 ? first : first.opposite, part) }
      }
      connection.close()
      return connection.packets.packets
    case .udp, .udpExchange, .dnsQuery, .dnsResponse, .icmp, .packet, .raw:
      var packets = packets
      for index in 0..<count { try appendDatagrams(keys, index, to: &packets) }
      return packets.packets
    }
  }

  private struct Exchange {
    var port: UInt16
    var request: [UInt8] = []
    var response: [UInt8] = []
  }

  /// What the two sides of a connection say.
  private func exchange(_ keys: TestKeys) throws(RuleTestProblem) -> Exchange {
    switch kind {
    case .httpRequest: return Exchange(port: Self.httpPort, request: text, response: Self.plainResponse)
    case .httpResponse: return Exchange(port: Self.httpPort, request: Self.plainRequest, response: text)
    case .httpExchange: return Exchange(port: Self.httpPort, request: text, response: parts.last ?? [])
    case .tcpResponse: return Exchange(port: try keys.number("port", default: 0), response: text)
    case .tlsClientHello:
      let hello = try TestTLSHandshake(keys).clientHello(keys, serverName: keys.bytes("sni"))
      return Exchange(port: Self.tlsPort, request: hello)
    case .tlsCertificate:
      let handshake = try TestTLSHandshake(keys)
      let certificate = try TestCertificate.make(
        subject: keys.bytes("subject") ?? [], issuer: keys.bytes("issuer") ?? [], serial: try serial(keys))
      return Exchange(
        port: Self.tlsPort,
        request: try handshake.clientHello(keys, serverName: Array("server.example".utf8)),
        response: handshake.serverFlight(certificate: certificate))
    case .tcp, .tcpExchange, .udp, .udpExchange, .dnsQuery, .dnsResponse, .icmp, .packet, .raw:
      return Exchange(port: try keys.number("port", default: 0), request: text)
    }
  }

  private func serial(_ keys: TestKeys) throws(RuleTestProblem) -> [UInt8] {
    let text = Array(keys.text("serial") ?? "0a0b0c0d")
    guard !text.isEmpty, text.count % 2 == 0 else { throw RuleTestProblem("serial= is pairs of hexadecimal digits") }
    var out: [UInt8] = []
    for index in stride(from: 0, to: text.count, by: 2) {
      guard let octet = UInt8(String(text[index...(index + 1)]), radix: 16) else {
        throw RuleTestProblem("serial= is pairs of hexadecimal digits")
      }
      out.append(octet)
    }
    return out
  }

  /// One round of a test without a connection.
  private func appendDatagrams(
    _ keys: TestKeys, _ index: Int, to packets: inout TestPackets
  ) throws(RuleTestProblem) {
    guard parts.allSatisfy({ $0.count <= TestPackets.datagramBytesMax }) else {
      throw RuleTestProblem("the text does not fit into one datagram")
    }
    let number = UInt16(truncatingIfNeeded: index + 1)
    switch kind {
    case .udp:
      let port = try keys.number("port", default: UInt16(0))
      packets.udp(.toServer, clientPort: Self.clientPort, serverPort: port, text)
    case .udpExchange:
      let port = try keys.number("port", default: UInt16(0))
      let first = try firstDirection(keys)
      for (index, part) in parts.enumerated() {
        packets.udp(index % 2 == 0 ? first : first.opposite, clientPort: Self.clientPort, serverPort: port, part)
      }
    case .dnsQuery, .dnsResponse:
      let message = try TestDNSMessage(name: keys.bytes("name") ?? [], type: keys.bytes("type") ?? [])
      let query = message.query(identifier: number)
      packets.udp(.toServer, clientPort: Self.clientPort, serverPort: Self.dnsPort, query)
      if kind == .dnsResponse {
        let response = try message.response(identifier: number, data: keys.bytes("data") ?? [])
        packets.udp(.toClient, clientPort: Self.clientPort, serverPort: Self.dnsPort, response)
      }
    case .icmp:
      packets.icmp(
        type: try keys.number("type", default: 0), code: try keys.number("code", default: 0),
        identifier: try keys.number("id", default: 1), sequence: number, text)
    case .packet:
      let port = try keys.number("port", default: Self.httpPort)
      if keys.text("proto") == "udp" {
        packets.udp(.toServer, clientPort: Self.clientPort, serverPort: port, text)
      } else {
        packets.tcp(
          .toServer, clientPort: Self.clientPort, serverPort: port, sequence: 1, acknowledgement: 0,
          flags: try flags(keys), text[...])
      }
    case .httpRequest, .httpResponse, .httpExchange, .tcp, .tcpResponse, .tcpExchange, .tlsClientHello,
      .tlsCertificate, .raw:
      break
    }
  }

  /// Who speaks first in an exchange.
  private func firstDirection(_ keys: TestKeys) throws(RuleTestProblem) -> Direction {
    switch keys.text("first") ?? "client" {
    case "client": return .toServer
    case "server": return .toClient
    case let other: throw RuleTestProblem("first= is client or server, not \(other)")
    }
  }

  /// Letters in the order of the bits, FIN first.
  private func flags(_ keys: TestKeys) throws(RuleTestProblem) -> UInt8 {
    let letters = keys.text("flags") ?? "0"
    if letters == "0" { return 0 }
    var flags: UInt8 = 0
    for letter in letters {
      guard let bit = Array("FSRPAUEC").firstIndex(of: letter) else {
        throw RuleTestProblem("flags= is letters out of FSRPAUEC, or 0, not \(letters)")
      }
      flags |= 1 << UInt8(truncatingIfNeeded: bit)
    }
    return flags
  }
}
