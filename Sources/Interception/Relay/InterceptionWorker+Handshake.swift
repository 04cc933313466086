import CSluiceLinux
import Glibc
import Traffic

extension InterceptionWorker {
  // MARK: The leg towards the server

  func startUpstreamHandshake(_ connection: RelayConnection) {
    guard let upstream = connection.upstream, let sketch = connection.sketch,
      let endpoint = TLSEndpoint(serverLeg, upstream.stream)
    else {
      tell(.mintingFailed(OpenSSLErrors.drain().text), connection)
      return refuse(connection, alert: 80)
    }
    let protocols = sketch.protocolsToOffer(withHTTP2: settings.offersHTTP2)
    let key = SessionCache.Key(
      destination: connection.destination, sni: sketch.sni, protocols: protocols, versionMax: sketch.highestVersion)
    endpoint.offer(name: sketch.sni, protocols: protocols, versionMax: sketch.highestVersion)
    if let session = sessions.session(for: key) { endpoint.resume(session) }
    endpoint.keepSession = { [sessions] in sessions.keep($0, for: key) }
    upstream.tls = endpoint
    connection.stage = .upstreamHandshake
    setDeadline(connection, settings.handshakeTimeoutMilliseconds)
    continueUpstreamHandshake(connection)
  }

  func continueUpstreamHandshake(_ connection: RelayConnection) {
    guard let endpoint = connection.upstream?.tls else { return }
    switch endpoint.handshake() {
    case .wantMore: return
    case .failed(let failure): upstreamFailed(connection, failure)
    case .done:
      counters.upstreamHandshakes &+= 1
      if endpoint.wasResumed { counters.upstreamResumptions &+= 1 }
      noteClientCertificate(connection)
      connection.facts.upstreamTLSVersion = endpoint.version
      connection.facts.upstreamResumed = endpoint.wasResumed
      verify(connection, endpoint)
    }
  }

  private func upstreamFailed(_ connection: RelayConnection, _ failure: TLSFailure) {
    counters.upstreamHandshakeFailures &+= 1
    noteClientCertificate(connection)
    tell(.upstreamHandshakeFailed(failure), connection)
    switch failure.cause {
    case .alert(let alert): refuse(connection, alert: alert)
    case .protocol: refuse(connection, alert: 40)
    case .closed: refuse(connection, fin: true)
    case .reset: refuse(connection)
    }
  }

  private func noteClientCertificate(_ connection: RelayConnection) {
    guard connection.upstream?.tls?.wantsClientCertificate == true else { return }
    connection.facts.upstreamWantsClientCertificate = true
    tell(.upstreamWantsClientCertificate, connection)
  }

  private func verify(_ connection: RelayConnection, _ endpoint: TLSEndpoint) {
    let certificates = endpoint.peerCertificates()
    guard let leaf = certificates.first else {
      let defect = UpstreamDefect(kind: .missing, code: 0, text: "the server showed no certificate")
      connection.facts.upstreamVerification = .untrusted(defect)
      return untrusted(connection, defect)
    }
    let fingerprint = leaf.fingerprint()
    // An address is no server name (RFC 6066 section 3), and servers seldom have certificates for
    // theirs: as without a name, the client is left to compare what the leaf mirrors.
    let name = connection.sketch?.sni.flatMap { IPAddress($0) == nil ? $0 : nil }
    let key = VerificationKey(fingerprint: fingerprint, sni: name)
    if let known = verifications.value(for: key), time < known.until {
      counters.verificationCacheHits &+= 1
      connection.facts.upstreamCertificates = known.certificates
      connection.facts.upstreamVerification = .trusted
      return startClientHandshake(connection, leaf, fingerprint, isTrusted: true)
    }
    connection.facts.upstreamCertificates = certificates.map { $0.der() }
    let chain = CertificateStack(certificates)
    let result = services.verifier.verify(leaf: leaf, chain: chain, name: name, now: time)
    connection.facts.upstreamVerification = result
    switch result {
    case .trusted:
      // Only trust is remembered: a defect may be the fault of the chain that was sent this once.
      let until = Timestamp(nanoseconds: time.nanoseconds &+ settings.verificationSeconds &* 1_000_000_000)
      let known = KnownUpstream(
        certificates: connection.facts.upstreamCertificates, until: min(until, max(time, leaf.notAfter)))
      verifications.set(known, for: key)
      startClientHandshake(connection, leaf, fingerprint, isTrusted: true)
    case .untrusted(let defect):
      if settings.untrustedUpstream == .block { return untrusted(connection, defect) }
      counters.upstreamUntrusted &+= 1
      tell(.upstreamUntrusted(defect, passedOn: true), connection)
      startClientHandshake(connection, leaf, fingerprint, isTrusted: false)
    }
  }

  private func untrusted(_ connection: RelayConnection, _ defect: UpstreamDefect) {
    counters.upstreamUntrusted &+= 1
    tell(.upstreamUntrusted(defect, passedOn: false), connection)
    refuse(connection, alert: 49)
  }

  // MARK: The leg towards the client

  private func startClientHandshake(
    _ connection: RelayConnection, _ upstream: Certificate, _ fingerprint: [UInt8], isTrusted: Bool
  ) {
    let mintedBefore = minter.mintedCount
    guard let leaf = minter.leaf(for: upstream, fingerprint: fingerprint, isTrusted: isTrusted),
      let endpoint = TLSEndpoint(isTrusted ? clientLeg : defectLeg, connection.client.stream),
      endpoint.present(leaf, services.issuers.leafKey, identity: identity(fingerprint, connection))
    else {
      counters.mintingFailures &+= 1
      tell(.mintingFailed(OpenSSLErrors.drain().text), connection)
      return refuse(connection, alert: 80)
    }
    if minter.mintedCount != mintedBefore { tell(.minted(fingerprint: leaf.fingerprint, trusted: isTrusted), connection) }
    connection.facts.mintedFingerprint = leaf.fingerprint
    endpoint.protocolToSelect = connection.upstream?.tls?.selectedProtocol
    connection.client.stream.readAhead(connection.peek.takeBytes())
    connection.client.tls = endpoint
    connection.stage = .clientHandshake
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
      connection.facts.tlsVersion = endpoint.version
      connection.facts.cipherSuite = endpoint.cipherSuite
      connection.facts.clientResumed = endpoint.wasResumed
      connection.facts.alpn = endpoint.selectedProtocol.map { String(decoding: $0, as: UTF8.self) }
      services.policy.accepted(connection.facts)
      startRelay(connection)
    }
  }
}
