import Traffic

extension InterceptionWorker {
  /// Looks at the server's certificate; what is wrong with it decides what the client gets.
  ///
  /// - Returns: nil where the client is turned away over it.
  func judgeServer(_ connection: RelayConnection, _ endpoint: TLSEndpoint) -> JudgedServer? {
    let certificates = endpoint.peerCertificates()
    // An address is no server name (RFC 6066 section 3), and servers seldom have certificates for
    // theirs: as without a name, the client is left to compare what the leaf mirrors.
    let name = connection.sketch?.sni.flatMap { IPAddress($0) == nil ? $0 : nil }
    let staple = endpoint.staple()
    let fingerprint = certificates.first?.fingerprint() ?? []
    let key = VerificationKey(fingerprint: fingerprint, sni: name)
    if let leaf = certificates.first, recall(connection, key, staple) {
      return JudgedServer(leaf: leaf, fingerprint: fingerprint, isTrusted: true)
    }
    connection.facts.upstreamCertificates = certificates.map { $0.der() }
    let generation = services.verifier.generation
    let (result, status) = services.verifier.verify(
      certificates, name: name, staple: endpoint.wasResumed ? nil : staple, now: time)
    connection.facts.upstreamVerification = result
    connection.facts.upstreamStaple = status
    switch status {
    case .good: counters.staplesGood &+= 1
    case .unusable: counters.staplesUnusable &+= 1
    case .none, .revoked: break
    }
    switch result {
    case .trusted:
      guard let leaf = certificates.first else { return nil }
      // Only trust is remembered: a defect may be the fault of the chain that was sent this once.
      let until = Timestamp(nanoseconds: time.nanoseconds &+ settings.verificationSeconds &* 1_000_000_000)
      let known = KnownUpstream(
        certificates: connection.facts.upstreamCertificates, staple: staple.isEmpty ? [] : sha256(staple),
        stapleStatus: status, generation: generation, until: min(until, max(time, leaf.notAfter)))
      // A server may send a megabyte of them; such a chain is verified each time.
      if known.certificates.reduce(0, { $0 + $1.count }) <= 65_536 { verifications.set(known, for: key) }
      return JudgedServer(leaf: leaf, fingerprint: fingerprint, isTrusted: true)
    case .untrusted(let defect): return untrusted(connection, endpoint, defect, certificates.first, fingerprint)
    }
  }

  /// - Returns: whether this certificate was found trusted lately, and nothing is known that it was not then.
  private func recall(_ connection: RelayConnection, _ key: VerificationKey, _ staple: [UInt8]) -> Bool {
    guard let known = verifications.value(for: key), time < known.until,
      known.generation == services.verifier.generation, staple.isEmpty || known.staple == sha256(staple)
    else { return false }
    counters.verificationCacheHits &+= 1
    connection.facts.upstreamCertificates = known.certificates
    connection.facts.upstreamVerification = .trusted
    connection.facts.upstreamStaple = known.stapleStatus
    return true
  }

  private func untrusted(
    _ connection: RelayConnection, _ endpoint: TLSEndpoint, _ defect: UpstreamDefect, _ leaf: Certificate?,
    _ fingerprint: [UInt8]
  ) -> JudgedServer? {
    counters.note(defect.kind)
    // A resumed session would not show the certificate's staple again.
    endpoint.keepSession = nil
    if let key = connection.sessionKey { sessions.remove(key) }
    if settings.reaction(to: defect.kind, connection.facts.decision) == .passDefect, let leaf {
      counters.defectsPassedOn &+= 1
      tell(.upstreamUntrusted(defect, .passedOn), connection)
      connection.facts.upstreamDefectIsPassedOn = true
      return JudgedServer(leaf: leaf, fingerprint: fingerprint, isTrusted: false)
    }
    if let page = observer.refusalPage(for: defect, on: connection.facts), showPage(page, connection) {
      counters.defectPages &+= 1
      tell(.upstreamUntrusted(defect, .page), connection)
      return nil
    }
    tell(.upstreamUntrusted(defect, .blocked), connection)
    refuse(connection, alert: 49)
    return nil
  }

  // MARK: A page in place of a server

  /// For a client that speaks HTTP/1.1 and named the server; it gets nothing of the server's, and no session.
  ///
  /// - Returns: false for others.
  private func showPage(_ page: [UInt8], _ connection: RelayConnection) -> Bool {
    guard let sketch = connection.sketch, let name = sketch.sni, IPAddress(name) == nil,
      sketch.alpn.isEmpty || sketch.alpn.contains("http/1.1")
    else { return false }
    guard let outcome = minter.refusalLeaf(name: name, kind: sketch.acceptsECDSA ? .ec : .rsa, now: time) else {
      OpenSSLErrors.clear()
      return false
    }
    connection.upstream?.close(reset: true)
    connection.upstream = nil
    // Nobody may be led past the block by what goes wrong from here on.
    connection.canBeCalledAnew = false
    connection.refusal = page
    obtain(outcome, for: connection) { worker, connection, leaf in
      guard let endpoint = TLSEndpoint(worker.defectLeg, connection.client.inside()),
        endpoint.present(leaf, worker.services.issuers.key(leaf.kind), identity: sha256(leaf.fingerprint))
      else { return worker.mintingFailed(connection, OpenSSLErrors.drain().text) }
      endpoint.protocolToSelect = Array("http/1.1".utf8)
      connection.facts.mintedFingerprint = leaf.fingerprint
      worker.beginClientHandshake(connection, endpoint)
    }
    return true
  }

  /// An answer that came before the request would be taken for none.
  func awaitRequest(_ connection: RelayConnection) {
    connection.stage = .refusing
    setDeadline(connection, settings.closingTimeoutMilliseconds)
    readRefused(connection)
  }

  func readRefused(_ connection: RelayConnection) {
    let scratch = scratch
    let (count, stop) = connection.client.fill(scratch)
    if count > 0 {
      let end = Array("\r\n\r\n".utf8)
      let text = connection.refusalTail + scratch.bytes(count).copied()
      connection.refusalTail = Array(text.suffix(end.count - 1))
      // A head that fills a whole buffer is answered all the same.
      if stop == nil || text.indices.dropLast(3).contains(where: { text[$0..<$0 + 4].elementsEqual(end) }) {
        tell(.ended(.blocked(reason: "bad certificate")), connection)
        return closeGently(connection, connection.refusal ?? [])
      }
    }
    switch stop {
    case .wouldBlock: return
    case nil, .moved, .ended, .reset, .failed: discard(connection)
    }
  }
}

/// A server whose certificate is good, or bad in a way that the client is to see.
struct JudgedServer {
  var leaf: Certificate
  var fingerprint: [UInt8]
  var isTrusted: Bool
}

enum TLSVersionText {
  /// The name of a version's number.
  static func name(_ version: UInt16) -> String {
    switch version {
    case 0x0304: "TLS 1.3"
    case 0x0303: "TLS 1.2"
    case 0x0302: "TLS 1.1"
    case 0x0301: "TLS 1.0"
    case 0x0300: "SSL 3.0"
    default: "nothing known"
    }
  }
}
