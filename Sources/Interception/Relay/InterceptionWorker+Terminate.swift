import CSluiceLinux
import Glibc
import Traffic

/// A listening socket in front of sites.
public struct TerminationSocket: Sendable {
  var socket: ListenerSocket
  /// Which of the plan's listeners it is of.
  var listener: Int

  public init(_ socket: ListenerSocket, listener: Int) {
    self.socket = socket
    self.listener = listener
  }
}

/// Connections to sites. Their way: hello (PROXY header, ClientHello) → clientHandshake → dialing →
/// upstreamHandshake → relaying; without TLS on a leg its handshake is left out. The client comes first,
/// so that no backend hears of one that fails.
extension InterceptionWorker {
  /// The listener behind a place of `listeners`; nil for those that take connections meant for others.
  func terminated(at place: Int) -> TerminatedListener? {
    guard place >= interceptingCount, place - interceptingCount < fronts.count else { return nil }
    return services.termination?.listener(fronts[place - interceptingCount].listener)
  }

  func openTerminated(_ stream: SocketStream, _ listener: TerminatedListener, client: SocketName, asked: SocketName) {
    counters.terminated &+= 1
    guard let connection = open(stream, client: client, destination: asked) else { return listener.load.leave() }
    let front = Termination(listener)
    connection.termination = front
    if listener.settings.takesProxyHeader?(client.address) == true { front.proxyHeader = ProxyHeaderReader() }
    setDeadline(connection, settings.helloTimeoutMilliseconds)
    if !listener.settings.usesTLS, front.proxyHeader == nil { beginInTheClear(connection, front) }
  }

  // MARK: What the client says first

  /// Reads the PROXY header and the ClientHello.
  func readFront(_ connection: RelayConnection, _ front: Termination) {
    let scratch = scratch
    let (count, stop) = connection.client.fill(scratch)
    if count > 0 {
      if front.proxyHeader != nil {
        guard let rest = readProxyHeader(connection, front, scratch.bytes(count).copied()) else { return }
        guard front.listener.settings.usesTLS else {
          connection.client.stream.readAhead(rest)
          return beginInTheClear(connection, front)
        }
        guard judge(connection, front, connection.peek.feed(rest.rawSpan)) else { return }
      } else {
        guard judge(connection, front, connection.peek.feed(scratch.bytes(count))) else { return }
      }
    }
    switch stop {
    case nil: markReady(connection)
    case .wouldBlock: break
    case .ended, .reset, .failed, .moved: clientGone(connection)
    }
  }

  /// - Returns: what follows the header; nil while it is incomplete, or where it ended the connection.
  private func readProxyHeader(_ connection: RelayConnection, _ front: Termination, _ bytes: [UInt8]) -> [UInt8]? {
    switch front.proxyHeader?.feed(bytes) {
    case nil, .needMore: return nil
    case .malformed(let reason):
      counters.proxyHeadersMalformed &+= 1
      tell(.proxyHeaderMalformed(reason), connection)
      refuse(connection)
      return nil
    case .header(let header, let rest):
      front.proxyHeader = nil
      if let header {
        connection.facts.flow = FlowTuple(
          source: header.source.address, destination: header.destination.address, sourcePort: header.source.port,
          destinationPort: header.destination.port, ipProtocol: IPProtocol.tcp)
      }
      return rest
    }
  }

  /// - Returns: whether to go on waiting.
  private func judge(_ connection: RelayConnection, _ front: Termination, _ outcome: ClientHelloPeek.Outcome) -> Bool {
    switch outcome {
    case .needMore: return true
    case .notTLS:
      counters.helloMalformed &+= 1
      tell(.helloMalformed("the client does not speak TLS"), connection)
      refuse(connection)
    case .malformed(let text):
      counters.helloMalformed &+= 1
      tell(.helloMalformed(text), connection)
      refuse(connection, alert: 50)
    case .tooLarge:
      counters.helloTooLarge &+= 1
      tell(.helloTooLarge, connection)
      refuse(connection)
    case .hello(let sketch): chooseSite(connection, front, sketch)
    }
    return false
  }

  private func chooseSite(_ connection: RelayConnection, _ front: Termination, _ sketch: ClientHelloSketch) {
    note(sketch, connection)
    connection.facts.form = .decrypted
    let policy = decisionNow(connection)
    guard policy.action != .block else {
      connection.facts.decision = policy
      tell(.decided(policy), connection)
      counters.policyBlocked &+= 1
      return refuse(connection, alert: 49)
    }
    guard let site = front.listener.site(for: sketch.sni), let context = site.context else {
      counters.unknownNames &+= 1
      tell(.unknownName, connection)
      return refuse(connection, alert: 112)
    }
    front.site = site
    // Source: RFC 7301 section 3.2. A client that asks for another protocol shall not have it here (ALPACA).
    let selected = site.selectProtocol(sketch.alpn)
    if !sketch.alpn.isEmpty, !site.settings.protocols.isEmpty, selected == nil {
      tell(.helloMalformed("no protocol that the site speaks"), connection)
      return refuse(connection, alert: 120)
    }
    connection.facts.decision = PolicyDecision(.inspect, reason: "terminate: \(site.settings.name)")
    guard let endpoint = TLSEndpoint(context, connection.client.stream) else {
      tell(.mintingFailed(OpenSSLErrors.drain().text), connection)
      return refuse(connection, alert: 80)
    }
    endpoint.protocolToSelect = selected.map { Array($0.utf8) }
    connection.client.stream.readAhead(connection.peek.takeBytes())
    connection.client.tls = endpoint
    connection.stage = .clientHandshake
    setDeadline(connection, settings.handshakeTimeoutMilliseconds)
    continueClientHandshake(connection)
  }

  private func beginInTheClear(_ connection: RelayConnection, _ front: Termination) {
    front.site = front.listener.fallback
    connection.facts.decision = PolicyDecision(.inspect, reason: "terminate: \(front.site?.settings.name ?? "none")")
    callBackend(connection, front)
  }

  /// The client's handshake is done.
  func clientReady(_ connection: RelayConnection, _ front: Termination, _ endpoint: TLSEndpoint) {
    if front.site?.settings.clientCertificate != .some(.none), let leaf = endpoint.peerCertificates().first {
      front.clientSubject = leaf.subject
      front.clientFingerprint = leaf.fingerprint()
      front.clientDefect = endpoint.peerDefect
    }
    callBackend(connection, front)
  }

  // MARK: The backend

  func callBackend(_ connection: RelayConnection, _ front: Termination) {
    connection.stage = .dialing
    guard let site = front.site else { return refuse(connection) }
    while let backend = site.pool.choose(tried: front.tried, turn: site.turn()) {
      front.take(backend)
      if front.takesSpares, let spare = takeSpare(of: backend), begin(connection, front, on: spare) { return }
      guard let stream = backend.dial() else {
        noteFailure(connection, front, errorText(errno))
        continue
      }
      connection.isDialing = true
      setDeadline(connection, settings.dialTimeoutMilliseconds)
      if watch(stream, of: connection) { return }
      connection.isDialing = false
      noteFailure(connection, front, errorText(errno))
    }
    counters.withoutBackend &+= 1
    tell(.withoutBackend, connection)
    if front.hasRelayed {
      return end(connection, .blocked(reason: "no backend"), response: Self.answer("503 Service Unavailable"))
    }
    turnAway(connection, site.isHTTP ? Self.answer("503 Service Unavailable") : [])
  }

  private func noteFailure(_ connection: RelayConnection, _ front: Termination, _ reason: String) {
    counters.backendFailures &+= 1
    tell(.upstreamUnreachable("\(front.backend?.name ?? ""): \(reason)"), connection)
    if front.backend?.failed() == true { tell(.backendUnwell(front.backend?.name ?? ""), connection) }
    front.drop()
  }

  /// Before a byte of the client's was sent: the next one is tried.
  func backendFailed(_ connection: RelayConnection, _ front: Termination, _ reason: String) {
    connection.isDialing = false
    connection.upstream?.close(reset: true)
    connection.upstream = nil
    noteFailure(connection, front, reason)
    callBackend(connection, front)
  }

  func backendReached(_ connection: RelayConnection, _ front: Termination) {
    guard let upstream = connection.upstream, let site = front.site, let backend = front.backend else { return refuse(connection) }
    sluice_set_no_delay(upstream.stream.descriptor)
    if let version = site.settings.sendsProxyHeader {
      let header = proxyHeader(connection, front).octets(version, tls: tlsFacts(connection, front))
      // The buffer of a socket just made takes it at once.
      let (count, _) = upstream.write(header.rawSpan)
      guard count == header.count else { return backendFailed(connection, front, "the PROXY header could not be sent") }
    }
    guard let tls = site.settings.backendTLS else { return backendReady(connection, front) }
    guard let context = site.backendContext, let endpoint = TLSEndpoint(context, upstream.stream),
      !tls.verifies || endpoint.expect(name: tls.name)
    else { return backendFailed(connection, front, OpenSSLErrors.drain().text) }
    endpoint.offer(name: tls.name, protocols: connection.facts.alpn.map { [$0] } ?? [], versions: 0x0303...0x0304, groups: nil)
    if let session = backend.latestSession { endpoint.resume(session) }
    endpoint.keepSession = { backend.latestSession = $0 }
    upstream.tls = endpoint
    connection.stage = .upstreamHandshake
    setDeadline(connection, settings.handshakeTimeoutMilliseconds)
    continueBackendHandshake(connection, front)
  }

  func continueBackendHandshake(_ connection: RelayConnection, _ front: Termination) {
    guard let endpoint = connection.upstream?.tls else { return }
    switch endpoint.handshake() {
    case .wantMore: return
    case .failed(let failure):
      counters.upstreamHandshakeFailures &+= 1
      front.backend?.latestSession = nil
      backendFailed(connection, front, failure.text)
    case .done:
      counters.upstreamHandshakes &+= 1
      if endpoint.wasResumed { counters.upstreamResumptions &+= 1 }
      connection.facts.upstreamTLSVersion = endpoint.version
      connection.facts.upstreamResumed = endpoint.wasResumed
      if front.site?.settings.backendTLS?.verifies == true { connection.facts.upstreamVerification = .trusted }
      let spoken = endpoint.selectedProtocol.map { String(decoding: $0, as: UTF8.self) }
      if connection.facts.alpn == "h2", spoken != "h2" {
        return backendFailed(connection, front, "the backend does not speak h2, as the client does")
      }
      backendReady(connection, front)
    }
  }

  func backendReady(_ connection: RelayConnection, _ front: Termination) {
    if !front.isOnSpare { _ = front.backend?.succeeded() }
    connection.facts.backend = front.backend?.name
    if let sent = front.takeToSendAgain() { return sendAgain(connection, sent) }
    if front.site?.isHTTP == true { front.exchange = HTTPExchange(forwardedFields(connection, front)) }
    startRelay(connection)
  }

  /// The backend has broken off. A client that waits for an answer of which nothing has come gets one.
  ///
  /// - Returns: false where it can only be told by the connection's end.
  func answerForBackend(_ connection: RelayConnection, _ reason: String) -> Bool {
    guard connection.stage == .relaying, let front = connection.termination, front.exchange?.owesAnswer == true
    else { return false }
    counters.backendsUnanswered &+= 1
    let text = "\(front.backend?.name ?? "the backend") did not answer: \(reason); the client is answered 502"
    end(connection, .failed(.toClient, text), response: Self.answer("502 Bad Gateway"))
    return true
  }

  // MARK: What the backend is told

  private func proxyHeader(_ connection: RelayConnection, _ front: Termination) -> ProxyHeader {
    let flow = connection.facts.flow
    return ProxyHeader(
      source: SocketName(address: flow.source, port: flow.sourcePort),
      destination: SocketName(address: flow.destination, port: flow.destinationPort))
  }

  private func tlsFacts(_ connection: RelayConnection, _ front: Termination) -> ProxyHeader.TLSFacts? {
    guard connection.client.tls != nil else { return nil }
    var facts = ProxyHeader.TLSFacts()
    facts.name = connection.facts.sni
    facts.alpn = connection.facts.alpn
    facts.version = Self.versionName(connection.facts.tlsVersion)
    facts.hasVerifiedCertificate = front.clientSubject != nil && front.clientDefect == nil
    facts.certificateName = facts.hasVerifiedCertificate ? front.clientSubject : nil
    return facts
  }

  private func forwardedFields(_ connection: RelayConnection, _ front: Termination) -> ForwardedFields {
    let flow = connection.facts.flow
    var fields = ForwardedFields(
      keepsAddresses: front.site?.settings.forwarded == .append, address: flow.source)
    let isTLS = connection.client.tls != nil
    fields.fields = [("X-Forwarded-Proto", isTLS ? "https" : "http"), ("X-Forwarded-Port", "\(flow.destinationPort)")]
    guard isTLS else { return fields }
    fields.fields.append(("X-TLS-Version", Self.versionName(connection.facts.tlsVersion)))
    fields.fields.append(("X-TLS-Cipher", connection.facts.cipherSuite))
    if let sni = connection.facts.sni { fields.fields.append(("X-TLS-SNI", sni)) }
    guard front.site?.settings.clientCertificate != .some(.none) else { return fields }
    fields.fields.append(("X-TLS-Client-Verified", front.clientSubject == nil || front.clientDefect != nil ? "no" : "yes"))
    if let defect = front.clientDefect { fields.fields.append(("X-TLS-Client-Defect", defect)) }
    if let subject = front.clientSubject {
      // A subject may hold anything; a field may not.
      let safe = subject.unicodeScalars.map { (0x20...0x7e).contains($0.value) ? Character($0) : "?" }
      fields.fields.append(("X-TLS-Client-Subject", String(safe)))
      fields.fields.append(("X-TLS-Client-SHA256", hexadecimal(front.clientFingerprint)))
    }
    return fields
  }

  private static func versionName(_ number: UInt16) -> String { number == 0x0304 ? "TLSv1.3" : "TLSv1.2" }

  static func answer(_ status: String) -> [UInt8] {
    Array("HTTP/1.1 \(status)\r\nContent-Length: 0\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n".utf8)
  }

  // MARK: Requests with fields of ours

  /// - Returns: whether the connection lives on.
  func exchange(
    _ connection: RelayConnection, _ front: Termination, _ outcome: HTTPExchange.Outcome, _ sink: RelayLeg
  ) -> Bool {
    switch outcome {
    case .forward(let bytes):
      front.sends(bytes)
      return bytes.isEmpty || deliver(connection, .toServer, bytes.rawSpan, sink)
    case .refused(let status, let reason):
      counters.requestsRefused &+= 1
      end(connection, .blocked(reason: "request refused: \(reason)"), response: Self.answer(status))
      return false
    }
  }
}
