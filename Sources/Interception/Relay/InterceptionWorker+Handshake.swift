import CSluiceLinux
import Glibc
import Traffic

extension InterceptionWorker {
  // MARK: The leg towards the server

  func startUpstreamHandshake(_ connection: RelayConnection) {
    guard let upstream = connection.upstream, let sketch = connection.sketch,
      let endpoint = TLSEndpoint(serverLeg, upstream.inside())
    else {
      tell(.mintingFailed(OpenSSLErrors.drain().text), connection)
      return refuse(connection, alert: 80)
    }
    let protocols = sketch.protocolsToOffer(withHTTP2: settings.offersHTTP2)
    let versions = versions(sketch)
    let key = SessionCache.Key(
      destination: connection.destination, sni: sketch.sni, protocols: protocols, versionMax: versions.upperBound)
    endpoint.offer(name: sketch.sni, protocols: protocols, versions: versions, groups: sketch.groups)
    let connectedAt = time
    var since = time
    if let known = sessions.session(for: key, at: time) {
      endpoint.resume(known.session)
      since = known.since
    }
    connection.sessionKey = key
    connection.judged = nil
    endpoint.keepSession = { [sessions, unowned endpoint] in
      // A full handshake showed the certificate anew.
      sessions.keep($0, since: endpoint.wasResumed ? since : connectedAt, for: key)
    }
    upstream.push(endpoint)
    connection.stage = .upstreamHandshake
    connection.stepStart = sluice_clock_monotonic()
    setDeadline(connection, settings.handshakeTimeoutMilliseconds)
    continueUpstreamHandshake(connection)
  }

  /// Of the client's versions those allowed; its lowest counts too, so that a server gets no older one than the
  /// client would have spoken with it.
  private func versions(_ sketch: ClientHelloSketch) -> ClosedRange<UInt16> {
    let highest = min(max(sketch.highestVersion, settings.versionMin), settings.versionMax)
    return min(max(sketch.lowestVersion, settings.versionMin), highest)...highest
  }

  func continueUpstreamHandshake(_ connection: RelayConnection) {
    if let front = connection.termination { return continueBackendHandshake(connection, front) }
    guard let endpoint = connection.upstream?.tls else { return }
    if connection.awaitsAcceptance { return continueAcceptance(connection, endpoint) }
    switch endpoint.handshake() {
    case .wantMore: return
    case .failed(let failure): upstreamFailed(connection, failure)
    case .done:
      counters.upstreamHandshakes &+= 1
      if endpoint.wasResumed { counters.upstreamResumptions &+= 1 }
      connection.facts.upstreamHandshakeTime = sluice_clock_monotonic() - connection.stepStart
      connection.facts.upstreamTLSVersion = endpoint.version
      connection.facts.upstreamCipherSuite = endpoint.cipherSuite
      connection.facts.upstreamResumed = endpoint.wasResumed
      guard let judged = judgeServer(connection, endpoint) else { return }
      connection.judged = judged
      guard endpoint.wantsClientCertificate else { return startClientHandshake(connection, judged) }
      clientCertificateAsked(connection, endpoint, judged)
    }
  }

  private func upstreamFailed(_ connection: RelayConnection, _ failure: TLSFailure) {
    counters.upstreamHandshakeFailures &+= 1
    if let endpoint = connection.upstream?.tls, endpoint.wantsClientCertificate {
      return failedWithoutCertificate(connection, endpoint, failure)
    }
    tell(.upstreamHandshakeFailed(failure), connection)
    refuse(connection, as: failure)
  }

  private func refuse(_ connection: RelayConnection, as failure: TLSFailure) {
    switch failure.cause {
    case .alert(let alert): refuse(connection, alert: alert)
    case .protocol: refuse(connection, alert: 40)
    case .closed: refuse(connection, fin: true)
    case .reset: refuse(connection)
    }
  }

  // MARK: Servers that ask for a client certificate

  /// A server asked and broke off. Whoever stands on the way can do both, so that it counts only as far as the server
  /// has shown who it is.
  private func failedWithoutCertificate(_ connection: RelayConnection, _ endpoint: TLSEndpoint, _ failure: TLSFailure) {
    if let doubt = doubt(connection, endpoint, failure) {
      counters.clientCertificatesUnproven &+= 1
      tell(.clientCertificateUnproven(doubt), connection)
      tell(.upstreamHandshakeFailed(failure), connection)
      return refuse(connection, as: failure)
    }
    if connection.judged == nil {
      connection.facts.upstreamTLSVersion = endpoint.version
      connection.judged = judgeServer(connection, endpoint)
      guard connection.judged != nil else { return tell(.upstreamHandshakeFailed(failure), connection) }
    }
    noteClientCertificate(connection)
    tell(.upstreamHandshakeFailed(failure), connection)
    if let decision = learnedTunnel(connection) { return tunnelAnew(connection, decision) }
    refuse(connection, as: failure)
  }

  /// Why what the server did may be another's doing; nil where that is excluded as far as its version lets it be:
  /// before TLS 1.3, what is said up to a server's last message of the handshake is not protected.
  private func doubt(_ connection: RelayConnection, _ endpoint: TLSEndpoint, _ failure: TLSFailure) -> String? {
    if !endpoint.hasShownKey { return "the server broke off before it had shown that its certificate's key is its own" }
    if connection.judged != nil, !failure.isProtected { return "the connection's end was not the server's own word" }
    return nil
  }

  /// Of a server that has been judged: others' requests are none.
  private func noteClientCertificate(_ connection: RelayConnection) {
    guard !connection.facts.upstreamWantsClientCertificate else { return }
    connection.facts.upstreamWantsClientCertificate = true
    counters.clientCertificateRequests &+= 1
    tell(.upstreamWantsClientCertificate, connection)
  }

  /// The handshake went through without one. With TLS 1.2 that settles it; with 1.3 the server has not judged yet.
  private func clientCertificateAsked(_ connection: RelayConnection, _ endpoint: TLSEndpoint, _ judged: JudgedServer) {
    noteClientCertificate(connection)
    if let decision = learnedTunnel(connection) { return tunnelAnew(connection, decision) }
    guard endpoint.version == 0x0304 else { return startClientHandshake(connection, judged) }
    connection.awaitsAcceptance = true
    setDeadline(connection, settings.clientCertificateWaitMilliseconds)
    continueAcceptance(connection, endpoint)
  }

  private func continueAcceptance(_ connection: RelayConnection, _ endpoint: TLSEndpoint) {
    switch endpoint.acceptance() {
    case .wantMore: return
    case .failed(let failure):
      connection.awaitsAcceptance = false
      upstreamFailed(connection, failure)
    case .done: accepted(connection)
    }
  }

  /// The server says nothing against it, or nothing at all.
  func accepted(_ connection: RelayConnection) {
    connection.awaitsAcceptance = false
    if let judged = connection.judged { startClientHandshake(connection, judged) }
  }

  // MARK: The leg towards the client

  private func startClientHandshake(_ connection: RelayConnection, _ server: JudgedServer) {
    let (fingerprint, isTrusted) = (server.fingerprint, server.isTrusted)
    let hitsBefore = minter.hitCount
    let kind: LeafKeyKind = connection.sketch?.acceptsECDSA == false ? .rsa : .ec
    let outcome = minter.prepare(
      server.leaf, fingerprint: fingerprint, isTrusted: isTrusted, kind: kind, name: connection.sketch?.sni)
    let isNew = minter.hitCount == hitsBefore
    obtain(outcome, for: connection) { worker, connection, leaf in
      if isNew { worker.tell(.minted(fingerprint: leaf.fingerprint, trusted: isTrusted), connection) }
      worker.startClientHandshake(connection, with: leaf, standingFor: fingerprint)
    }
  }

  private func startClientHandshake(_ connection: RelayConnection, with leaf: MintedLeaf, standingFor fingerprint: [UInt8]) {
    guard let endpoint = TLSEndpoint(leaf.isTrusted ? clientLeg : defectLeg, connection.client.inside()),
      endpoint.present(leaf, services.issuers.key(leaf.kind), identity: identity(fingerprint, connection))
    else { return mintingFailed(connection, OpenSSLErrors.drain().text) }
    connection.facts.mintedFingerprint = leaf.fingerprint
    connection.facts.mintedCertificate = leaf.der
    endpoint.protocolToSelect = connection.upstream?.tls?.selectedProtocol
    beginClientHandshake(connection, endpoint)
  }

  func beginClientHandshake(_ connection: RelayConnection, _ endpoint: TLSEndpoint) {
    endpoint.stream.readAhead(connection.peek.takeBytes())
    connection.client.push(endpoint)
    connection.stage = .clientHandshake
    connection.stepStart = sluice_clock_monotonic()
    setDeadline(connection, settings.handshakeTimeoutMilliseconds)
    continueClientHandshake(connection)
  }

  /// A client may resume only a session that was made upon the same server certificate and name.
  private func identity(_ fingerprint: [UInt8], _ connection: RelayConnection) -> [UInt8] {
    sha256(fingerprint + Array((connection.sketch?.sni ?? "").utf8))
  }

  func continueClientHandshake(_ connection: RelayConnection) {
    guard let endpoint = connection.client.tls else { return }
    switch endpoint.handshake() {
    case .wantMore: return
    case .failed(let failure):
      counters.clientHandshakeFailures &+= 1
      tell(.clientHandshakeFailed(failure), connection)
      // OpenSSL has sent the alert that is due; FIN lets it arrive.
      refuse(connection, fin: true)
    case .done:
      counters.clientHandshakes &+= 1
      if endpoint.wasResumed { counters.clientResumptions &+= 1 }
      if connection.refusal != nil { return awaitRequest(connection) }
      connection.facts.clientHandshakeTime = sluice_clock_monotonic() - connection.stepStart
      connection.facts.tlsVersion = endpoint.version
      connection.facts.cipherSuite = endpoint.cipherSuite
      connection.facts.clientResumed = endpoint.wasResumed
      connection.facts.alpn = endpoint.selectedProtocol.map { String(decoding: $0, as: UTF8.self) }
      if let front = connection.termination { return clientReady(connection, front, endpoint) }
      services.policy.accepted(connection.facts)
      startRelay(connection)
    }
  }
}
