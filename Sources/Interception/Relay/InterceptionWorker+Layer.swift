import Traffic

/// TLS within what is relayed: after CONNECT, SOCKS, STARTTLS or a database's request, in the clear or inside
/// TLS that is open already. A hello found there is decided like one at the start; where it is opened, the same
/// two handshakes follow, upon the layers there are.
extension InterceptionWorker {
  /// Looks for a ClientHello in what the client sends; the inspector has seen the bytes.
  ///
  /// - Returns: true where the bytes are kept here, so that the caller must not pass them on.
  func holdsHello(_ connection: RelayConnection, _ bytes: RawSpan) -> Bool {
    guard connection.peek.bytes.isEmpty else { return true }
    let client = connection.lanes[Direction.toServer.index].inspected
    guard connection.watchesForHello, connection.facts.form != .tunnelled,
      client <= UInt64(settings.layerClientBytesMax),
      connection.lanes[Direction.toClient.index].inspected <= UInt64(settings.layerServerBytesMax)
    else { return false }
    // At the start of the stream it would have been found before.
    return Self.mayBeHello(bytes) && connection.inspector?.mayTurnToTLS == true
  }

  /// By all that makes the beginning of one: a shorter piece is no hello amid a stream.
  /// - Source: RFC 8446 sections 4 and 5.1.
  private static func mayBeHello(_ bytes: RawSpan) -> Bool {
    bytes.byteCount >= 6 && bytes.u8(at: 0) == 22 && bytes.u8(at: 1) == 3 && bytes.u8(at: 5) == 1
  }

  /// Takes bytes that `holdsHello` kept.
  ///
  /// - Returns: whether the connection lives on as it is; false where it went another way.
  func feedHello(_ connection: RelayConnection, _ bytes: RawSpan, _ sink: RelayLeg) -> Bool {
    switch connection.peek.feed(bytes) {
    case .needMore: return true
    case .notTLS: return letHelloPass(connection, sink)
    case .malformed(let text):
      counters.helloMalformed &+= 1
      tell(.helloMalformed(text), connection)
      if settings.malformedHello == .relay { return letHelloPass(connection, sink) }
      end(connection, .cut(reason: "a ClientHello that cannot be read"))
    case .tooLarge:
      counters.helloTooLarge &+= 1
      tell(.helloTooLarge, connection)
      end(connection, .cut(reason: "a ClientHello beyond the limit"))
    case .hello(let sketch):
      // What the server said before has to reach the client first.
      if connection.lanes[Direction.toClient.index].hasPending {
        connection.heldHello = sketch
        return true
      }
      return decideLayer(connection, sketch, sink)
    }
    return false
  }

  /// The relay's other direction has been written: a hello that waited for that goes on.
  func continueHeldHello(_ connection: RelayConnection) {
    guard connection.stage == .relaying, let sketch = connection.heldHello, let sink = connection.upstream,
      !connection.lanes[Direction.toClient.index].hasPending
    else { return }
    connection.heldHello = nil
    _ = decideLayer(connection, sketch, sink)
  }

  /// Passes on what is kept, if anything is.
  func letHelloPass(_ connection: RelayConnection, _ sink: RelayLeg) -> Bool {
    let bytes = connection.peek.takeBytes()
    return bytes.isEmpty || deliver(connection, .toServer, bytes.rawSpan, sink)
  }

  private func decideLayer(_ connection: RelayConnection, _ sketch: ClientHelloSketch, _ sink: RelayLeg) -> Bool {
    connection.watchesForHello = false
    if connection.layerCount >= settings.layerCountMax {
      counters.layerLimits &+= 1
      tell(.layerLimit, connection)
      if settings.layerLimit == .pass { return letHelloPass(connection, sink) }
      end(connection, .cut(reason: "TLS within TLS beyond the limit"))
      return false
    }
    let facts = connection.facts
    note(sketch, connection)
    let decision = decisionNow(connection)
    connection.facts.decision = decision
    tell(.decided(decision), connection)
    switch decision.action {
    case .block:
      counters.policyBlocked &+= 1
      end(connection, .cut(reason: decision.reason))
      return false
    case .tunnel:
      // What goes on is the outer connection.
      connection.facts = facts
      connection.sketch = nil
      return letHelloPass(connection, sink)
    case .inspect: break
    }
    counters.layers &+= 1
    connection.layerCount += 1
    endPlainPart(connection)
    connection.canBeCalledAnew = false
    guard canBeOpened(connection, sketch) else { return false }
    connection.facts.form = .decrypted
    connection.facts.alpn = nil
    connection.facts.upstreamCertificates = []
    connection.facts.upstreamVerification = nil
    connection.facts.upstreamDefectIsPassedOn = false
    connection.facts.upstreamWantsClientCertificate = false
    startUpstreamHandshake(connection)
    return false
  }
}
