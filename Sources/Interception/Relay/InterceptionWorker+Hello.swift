import CSluiceLinux
import Glibc
import Traffic

extension InterceptionWorker {
  /// Looks at what the client sent first; meanwhile lets a server that speaks first through.
  func readHello(_ connection: RelayConnection) {
    let scratch = scratch
    if connection.heldHello == nil {
      let (count, stop) = connection.client.fill(scratch)
      if count > 0 {
        if connection.peek.bytes.isEmpty { setDeadline(connection, settings.helloTimeoutMilliseconds) }
        guard judge(connection, connection.peek.feed(scratch.bytes(count))) else { return }
      }
      switch connection.heldHello == nil ? stop : .wouldBlock {
      case nil: markReady(connection)
      case .wouldBlock: break
      case .ended: return relayPlain(connection)
      case .reset, .failed, .moved: return clientGone(connection)
      }
    }
    passServerFirst(connection)
  }

  /// - Returns: whether to go on waiting.
  private func judge(_ connection: RelayConnection, _ outcome: ClientHelloPeek.Outcome) -> Bool {
    switch outcome {
    case .needMore: return true
    case .notTLS: relayPlain(connection)
    case .malformed(let text):
      counters.helloMalformed &+= 1
      tell(.helloMalformed(text), connection)
      if settings.malformedHello == .relay { relayPlain(connection) } else { refuse(connection, alert: 50) }
    case .tooLarge:
      counters.helloTooLarge &+= 1
      tell(.helloTooLarge, connection)
      refuse(connection)
    case .hello(let sketch):
      if connection.lanes[Direction.toClient.index].hasPending {
        connection.heldHello = sketch
        return true
      }
      decide(connection, sketch)
    }
    return false
  }

  /// While the client has said nothing that decides: what the server says goes through, inspected.
  private func passServerFirst(_ connection: RelayConnection) {
    guard connection.upstream != nil, !connection.isDialing else { return }
    guard pump(connection, .toClient), connection.stage == .hello else { return }
    if let sketch = connection.heldHello, !connection.lanes[Direction.toClient.index].hasPending {
      connection.heldHello = nil
      decide(connection, sketch)
    }
  }

  /// The client was silent for the first wait, or did not finish its hello in time.
  func helloWaitOver(_ connection: RelayConnection) {
    if connection.peek.bytes.first == 22 {
      counters.helloTimeouts &+= 1
      tell(.helloTimedOut, connection)
      return refuse(connection)
    }
    if !connection.peek.bytes.isEmpty { return relayPlain(connection) }
    if connection.upstream == nil {
      counters.serverFirst &+= 1
      call(connection)
    } else if !connection.isDialing {
      // Both silent since the server answered.
      counters.idleTimeouts &+= 1
      return refuse(connection, end: .idleTimeout)
    } else {
      counters.dialTimeouts &+= 1
      tell(.upstreamUnreachable("timed out"), connection)
      refuse(connection)
    }
  }

  private func decide(_ connection: RelayConnection, _ sketch: ClientHelloSketch) {
    endPlainPart(connection)
    note(sketch, connection)
    let decision = decisionNow(connection)
    connection.facts.decision = decision
    tell(.decided(decision), connection)
    switch decision.action {
    case .block:
      counters.policyBlocked &+= 1
      refuse(connection, alert: settings.cutStyle == .alert ? 49 : nil)
    case .tunnel:
      connection.facts.form = .tunnelled
      needServer(connection)
    case .inspect:
      guard canBeOpened(connection, sketch) else { return }
      connection.facts.form = .decrypted
      connection.layerCount = 1
      needServer(connection)
    }
  }

  /// A client that speaks no version allowed is told so before its server is called.
  func canBeOpened(_ connection: RelayConnection, _ sketch: ClientHelloSketch) -> Bool {
    if sketch.highestVersion >= settings.versionMin { return true }
    counters.clientVersionTooLow &+= 1
    let highest = TLSVersionText.name(sketch.highestVersion)
    tell(
      .clientHandshakeFailed(
        TLSFailure(cause: .protocol, text: "the client speaks at most \(highest); \(TLSVersionText.name(settings.versionMin)) is the oldest allowed")),
      connection)
    // RFC 8446 section 6.2: protocol_version.
    refuse(connection, alert: 70)
    return false
  }

  /// The server does not take the connection as it is opened: it is called anew, and its records pass as they are.
  func tunnelAnew(_ connection: RelayConnection, _ decision: PolicyDecision) {
    counters.tunnelledAnew &+= 1
    connection.upstream?.close(reset: true)
    connection.upstream?.tls = nil
    connection.upstream = nil
    connection.awaitsAcceptance = false
    connection.facts.decision = decision
    connection.facts.form = .tunnelled
    tell(.decided(decision), connection)
    needServer(connection)
  }

  /// What was learned of this very connection, where it can still be made a tunnel.
  func learnedTunnel(_ connection: RelayConnection) -> PolicyDecision? {
    guard connection.canBeCalledAnew else { return nil }
    let decision = decisionNow(connection)
    return decision.action == .tunnel ? decision : nil
  }

  /// What the policy says now.
  func decisionNow(_ connection: RelayConnection) -> PolicyDecision {
    services.policy.decide(policyFacts(connection))
  }

  func note(_ sketch: ClientHelloSketch, _ connection: RelayConnection) {
    connection.sketch = sketch
    connection.facts.sni = sketch.sni
    connection.facts.alpnOffered = sketch.alpn
    connection.facts.clientShape = sketch.shape
    connection.facts.clientHello = Array(connection.peek.bytes.prefix(sketch.recordBytes))
  }

  private func policyFacts(_ connection: RelayConnection) -> PolicyFacts {
    PolicyFacts(
      flow: connection.facts.flow, sni: connection.facts.sni, alpn: connection.facts.alpnOffered,
      clientHello: connection.facts.clientHello, clientShape: connection.facts.clientShape, time: time)
  }

  /// What the server said before the hello was a connection of its own for the inspector.
  func endPlainPart(_ connection: RelayConnection) {
    guard let inspector = connection.inspector else { return }
    connection.canBeCalledAnew = false
    inspector.closed(RelaySummary(end: .finished, bytesForwarded: connection.bytesForwarded, time: time))
    connection.inspector = nil
    connection.lanes = [RelayLane(), RelayLane()]
  }

  private func relayPlain(_ connection: RelayConnection) {
    connection.facts.form = .plain
    needServer(connection)
  }

  private func needServer(_ connection: RelayConnection) {
    connection.stage = .dialing
    if connection.upstream == nil {
      call(connection)
    } else if !connection.isDialing {
      serverReached(connection)
    }
  }

  // MARK: The server's TCP connection

  /// Starts the call; the stage may be `hello` when the server is to speak first.
  private func call(_ connection: RelayConnection) {
    setDeadline(connection, settings.dialTimeoutMilliseconds)
    connection.stepStart = sluice_clock_monotonic()
    switch dialer.dial(connection.destination, asClient: connection.clientName) {
    case .failed(let code): unreachable(connection, code)
    case .started(let stream, let source):
      if source == .clientAddressOnly { counters.otherPortFallbacks &+= 1 }
      if source == .own, settings.sourceAddress == .clientOrOwn { counters.ownAddressFallbacks &+= 1 }
      connection.isDialing = true
      if !watch(stream, of: connection) { unreachable(connection, errno) }
    }
  }

  func dialEnded(_ connection: RelayConnection) {
    guard let upstream = connection.upstream else { return }
    let code = sluice_socket_error(upstream.stream.descriptor)
    if code != 0 { return unreachable(connection, code) }
    connection.isDialing = false
    connection.facts.dialTime = sluice_clock_monotonic() - connection.stepStart
    if connection.stage == .hello {
      setDeadline(connection, settings.idleTimeoutMilliseconds)
      advance(connection)
    } else {
      serverReached(connection)
    }
  }

  /// The client sees what it would have seen: a refusal.
  private func unreachable(_ connection: RelayConnection, _ code: Int32) {
    if let front = connection.termination { return backendFailed(connection, front, errorText(code)) }
    counters.dialFailures &+= 1
    tell(.upstreamUnreachable(errorText(code)), connection)
    refuse(connection)
  }

  private func serverReached(_ connection: RelayConnection) {
    if let front = connection.termination { return backendReached(connection, front) }
    if connection.wantsDecryption {
      startUpstreamHandshake(connection)
    } else {
      connection.client.stream.readAhead(connection.peek.takeBytes())
      startRelay(connection)
    }
  }

  /// - Returns: whether the client's leaving ended the connection.
  func clientLeft(_ connection: RelayConnection, _ event: ReadyEvent) -> Bool {
    // A client of a site may have ended its direction behind its request.
    if connection.termination != nil, !event.isError { return false }
    switch connection.stage {
    case .dialing where event.isError || (event.isHangUp && connection.wantsDecryption),
      .upstreamHandshake where event.isHangUp, .minting where event.isHangUp:
      clientGone(connection)
      return true
    case .hello, .dialing, .upstreamHandshake, .minting, .clientHandshake, .relaying, .refusing, .closing, .closed: return false
    }
  }

  func clientGone(_ connection: RelayConnection) {
    counters.clientGone &+= 1
    refuse(connection)
  }
}
