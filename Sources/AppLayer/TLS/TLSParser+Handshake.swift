import Traffic

// What hellos and certificates say.

extension TLSParser {
  func takeHandshake(
    _ piece: RawSpan, _ leg: inout TLSLeg, _ direction: Direction, _ connection: TLSTransaction
  ) {
    var clientHelloCount = leg.clientHelloCount
    leg.handshake.append(piece) { type, length in
      plan(type, length, direction, connection)
    } deliver: { type, body in
      if type == TLSHandshake.clientHello { clientHelloCount += 1 }
      take(type, body, direction, connection)
    }
    leg.clientHelloCount = clientHelloCount
  }

  private func plan(
    _ type: UInt8, _ length: Int, _ direction: Direction, _ connection: TLSTransaction
  ) -> HandshakeAssembler.Plan {
    let isRead: Bool
    switch type {
    case TLSHandshake.clientHello: isRead = direction == .toServer
    case TLSHandshake.serverHello: isRead = direction == .toClient
    case TLSHandshake.certificate: isRead = connection.certificates(direction) == nil
    default: isRead = false
    }
    let isMisplaced =
      (type == TLSHandshake.clientHello && direction == .toClient)
      || (type == TLSHandshake.serverHello && direction == .toServer)
    if isMisplaced || !TLSHandshake.isKnown(type) {
      connection.raise("invalid_handshake_message")
    }
    guard isRead else { return .skip }
    if length > settings.handshakeOctetsMax {
      connection.raise("handshake_invalid_length")
      return .skip
    }
    return .keep
  }

  private func take(
    _ type: UInt8, _ body: RawSpan, _ direction: Direction, _ connection: TLSTransaction
  ) {
    switch (type, direction) {
    case (TLSHandshake.clientHello, .toServer): takeClientHello(body, connection)
    case (TLSHandshake.serverHello, .toClient): takeServerHello(body, connection)
    case (TLSHandshake.certificate, _): takeCertificates(body, direction, connection)
    case (TLSHandshake.certificateRequest, .toClient): connection.asksForClientCertificate = true
    case (TLSHandshake.serverHelloDone, .toClient):
      hasServerHelloDone = true
      connection.advance(.toClient, to: TLSProgress.serverHelloDone)
    default: break
    }
  }

  private func takeClientHello(_ body: RawSpan, _ connection: TLSTransaction) {
    guard connection.clientHello == nil else { return }
    guard let hello = ClientHello(parsing: body) else {
      connection.raise("invalid_handshake_message")
      return
    }
    for oddity in hello.oddities { connection.raise(oddity) }
    connection.clientHello = hello
    connection.advance(.toServer, to: TLSProgress.clientHelloDone)
  }

  private func takeServerHello(_ body: RawSpan, _ connection: TLSTransaction) {
    if let earlier = connection.serverHello, !earlier.isRetryRequest { return }
    guard let hello = ServerHello(parsing: body) else {
      connection.raise("invalid_handshake_message")
      return
    }
    for oddity in hello.oddities { connection.raise(oddity) }
    connection.serverHello = hello
    if hello.isRetryRequest { return }
    if hello.version.isTLS13, hello.hasPreSharedKey { connection.isResumed = true }
    connection.advance(.toClient, to: TLSProgress.serverHello)
  }

  private func takeCertificates(
    _ body: RawSpan, _ direction: Direction, _ connection: TLSTransaction
  ) {
    // Without content when it was skipped.
    guard body.byteCount > 0 else { return }
    let (chain, isConsistent) = CertificateChain.parse(body)
    if !isConsistent { connection.raise("certificate_invalid_length") }
    takeChain(chain, direction, connection)
  }

  func takeChain(
    _ chain: CertificateChain?, _ direction: Direction, _ connection: TLSTransaction
  ) {
    if let chain {
      if let leaf = chain.leaf {
        for oddity in leaf.oddities { connection.raise(oddity) }
      } else {
        let isCut = chain.certificates.first.map { Certificate.isCut($0.rawSpan) } ?? false
        connection.raise(isCut ? "certificate_invalid_length" : "invalid_certificate")
      }
      if direction == .toServer {
        connection.clientCertificates = chain
      } else {
        connection.serverCertificates = chain
      }
    }
    connection.advance(
      direction,
      to: direction == .toServer
        ? TLSProgress.clientCertificateDone : TLSProgress.serverCertificateDone)
  }
}
