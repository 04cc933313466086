import Traffic

extension BufferTable {
  /// Sticky buffers of TLS.
  /// - Source: Suricata 8, "SSL/TLS Keywords", "JA3/JA4 Keywords".
  static let tls: [BufferDeclaration] = [
    BufferDeclaration(
      .tlsSNI, ["tls.sni", "tls_sni"], clientHello,
      summary: "Server name that the client asks for."),
    BufferDeclaration(
      .tlsCertificates, ["tls.certs"], certificates, isMultiple: true,
      summary: "Each certificate of the chain, DER."),
    BufferDeclaration(
      .tlsCertificateSubject, ["tls.cert_subject", "tls_cert_subject"], certificates,
      summary: "Subject of the leaf certificate."),
    BufferDeclaration(
      .tlsCertificateIssuer, ["tls.cert_issuer", "tls_cert_issuer"], certificates,
      summary: "Issuer of the leaf certificate."),
    BufferDeclaration(
      .tlsCertificateSerial, ["tls.cert_serial", "tls_cert_serial"], certificates,
      summary: "Serial number of the leaf certificate, \"5C:19:B7\"."),
    BufferDeclaration(
      .tlsCertificateFingerprint, ["tls.cert_fingerprint", "tls_cert_fingerprint"], certificates,
      summary: "SHA-1 of the leaf certificate, \"4a:a3:66\"."),
    BufferDeclaration(
      .tlsSubjectAltName, ["tls.subjectaltname"], certificates, isMultiple: true,
      summary: "Each alternative name of the leaf certificate."),
    BufferDeclaration(
      .tlsALPN, ["tls.alpn"], hellos, isMultiple: true,
      summary: "Each application protocol that is offered or chosen."),
    BufferDeclaration(
      .tlsRandom, ["tls.random"], hellos, summary: "The 32 octets of the hello's random."),
    BufferDeclaration(
      .tlsRandomTime, ["tls.random_time"], hellos, summary: "First 4 octets of the random."),
    BufferDeclaration(
      .tlsRandomBytes, ["tls.random_bytes"], hellos, summary: "Last 28 octets of the random."),
    BufferDeclaration(
      .ja3Hash, ["ja3.hash", "ja3_hash"], clientHello, summary: "MD5 of the JA3 string, hex."),
    BufferDeclaration(
      .ja3String, ["ja3.string", "ja3_string"], clientHello, summary: "JA3 of the client hello."),
    BufferDeclaration(
      .ja3sHash, ["ja3s.hash"], serverHello, summary: "MD5 of the JA3S string, hex."),
    BufferDeclaration(
      .ja3sString, ["ja3s.string"], serverHello, summary: "JA3S of the server hello."),
    BufferDeclaration(
      .ja4Hash, ["ja4.hash", "ja4_hash"], clientHello, summary: "JA4 of the client hello."),
  ]

  private static let clientHello: [BufferDeclaration.Source] = [
    .init(.tls, .toServer, progress: TLSProgress.clientHelloDone)
  ]
  private static let serverHello: [BufferDeclaration.Source] = [
    .init(.tls, .toClient, progress: TLSProgress.serverHello)
  ]
  private static let hellos = clientHello + serverHello
  private static let certificates: [BufferDeclaration.Source] = [
    .init(.tls, .toClient, progress: TLSProgress.serverCertificateDone),
    .init(.tls, .toServer, progress: TLSProgress.clientCertificateDone),
  ]
}
