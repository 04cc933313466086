import Traffic

/// Hellos in the framing of SSLv2, which old clients use to offer SSL 3 and TLS too.
/// - Source: RFC 6101 appendix E; the SSL 0.2 draft.
enum SSL2 {
  /// The type of the message that a side begins with.
  static func expectedMessage(_ direction: Direction) -> UInt8 { direction == .toServer ? 1 : 4 }

  /// - Parameter message: with its header of two octets and its type.
  static func clientHello(_ message: RawSpan) -> ClientHello? {
    var reader = ByteReader(message)
    guard reader.skip(3), let version = reader.u16(), let suiteOctets = reader.u16(),
      let sessionOctets = reader.u16(), let challengeOctets = reader.u16(),
      version == 0x0002 || version >> 8 == 3, suiteOctets % 3 == 0,
      let suites = reader.take(Int(suiteOctets)), let session = reader.take(Int(sessionOctets)),
      let challenge = reader.take(Int(challengeOctets))
    else { return nil }
    var hello = ClientHello(legacyVersion: version == 2 ? .ssl2 : TLSVersion(rawValue: version))
    hello.isSSL2 = true
    hello.sessionID = session.copied()
    hello.random = challenge.copied()
    var list = ByteReader(suites)
    // Three octets each; those of SSL 3 and TLS have a zero in front.
    while let suite = list.u24() {
      if let known = UInt16(exactly: suite) { hello.cipherSuites.append(known) }
    }
    return hello
  }

  static func serverHello(_ message: RawSpan) -> (ServerHello, CertificateChain?)? {
    var reader = ByteReader(message)
    guard reader.skip(5), let version = reader.u16(), let certificateOctets = reader.u16(),
      reader.skip(4), let der = reader.take(Int(certificateOctets))
    else { return nil }
    let hello = ServerHello(
      legacyVersion: version == 2 ? .ssl2 : TLSVersion(rawValue: version))
    let chain = der.byteCount > 0 ? CertificateChain([der.copied()], count: 1) : nil
    return (hello, chain)
  }
}
