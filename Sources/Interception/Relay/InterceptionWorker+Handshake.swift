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
      guard endpoint.wantsClientCertificate else { return verify(connection, endpoint) }
      clientCertificateAsked(connection, endpoint)
    }
  }

  private func upstreamFailed(_ connection: RelayConnection, _ failure: TLSFailure) {
    counters.upstreamHandshakeFailures &+= 1
    noteClientCertificate(connection)
    tell(.upstreamHandshakeFailed(failure), connection)
    if connection.facts.upstreamWantsClientCertificate, let decision = learnedTunnel(connection) {
      return tunnelAnew(connection, decision)
    }
    switch failure.cause {
    case .alert(let alert): refuse(connection, alert: alert)
    case .protocol: refuse(connection, alert: 40)
    case .closed: refuse(connection, fin: true)
    case .reset: refuse(connection)
    }
  }

  // MARK: Servers that ask for a client certificate

  private func noteClientCertificate(_ connection: RelayConnection) {
    guard connection.upstream?.tls?.wantsClientCertificate == true, !connection.facts.upstreamWantsClientCertificate
    else { return }
    connection.facts.upstreamWantsClientCertificate = true
    counters.clientCertificateRequests &+= 1
    tell(.upstreamWantsClientCertificate, connection)
  }

  /// The handshake went through without one. With TLS 1.2 that settles it; with 1.3 the server has not judged yet.
  private func clientCertificateAsked(_ connection: RelayConnection, _ endpoint: TLSEndpoint) {
    noteClientCertificate(connection)
    if let decision = learnedTunnel(connection) { return tunnelAnew(connection, decision) }
    guard endpoint.version == 0x0304 else { return verify(connection, endpoint) }
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
    if let endpoint = connection.upstream?.tls { verify(connection, endpoint) }
  }

  // MARK: The leg towards the client

  func startClientHandshake(
    _ connection: RelayConnection, _ upstream: Certificate, _ fingerprint: [UInt8], isTrusted: Bool
  ) {
    let hitsBefore = minter.hitCount
    let kind: LeafKeyKind = connection.sketch?.acceptsECDSA == false ? .rsa : .ec
    let outcome = minter.prepare(
      upstream, fingerprint: fingerprint, isTrusted: isTrusted, kind: kind, name: connection.sketch?.sni)
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
