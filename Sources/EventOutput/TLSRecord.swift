import AppLayer
import Traffic

/// The `tls` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: TLS".
public enum TLSRecord {
  /// Whether there is anything to tell.
  public static func isLoggable(_ tls: TLSTransaction) -> Bool {
    tls.clientHello != nil || tls.serverHello != nil
  }

  /// Writes the members; the caller opens and closes the object.
  public static func write(
    _ tls: TLSTransaction, settings: EVESettings.TLS, into json: inout JSONWriter
  ) {
    let fields = settings.custom ?? (settings.isExtended ? .extended : .basic)
    if let chain = tls.serverCertificates {
      writeNames(chain, fields, into: &json)
    }
    if tls.isResumed, settings.logsResumed, fields.contains(.sessionResumed) {
      json.member("session_resumed", true)
    }
    if let chain = tls.serverCertificates {
      writeRest(chain, fields, into: &json)
      writeEncoded(
        chain, fields.contains(.certificate), fields.contains(.chain), into: &json)
    }
    if fields.contains(.sni) { json.member("sni", ifPresent: tls.clientHello?.serverName) }
    if fields.contains(.version) { json.member("version", text: tls.version.name) }
    writeFingerprints(tls, fields, settings, into: &json)
    if fields.contains(.clientALPNs) {
      writeList("client_alpns", tls.clientHello?.alpn, into: &json)
    }
    if fields.contains(.serverALPNs) {
      writeList("server_alpns", tls.serverHello?.alpn, into: &json)
    }
    writeClient(tls, fields, into: &json)
    if fields.contains(.clientHandshake) { writeClientHandshake(tls, into: &json) }
    if fields.contains(.serverHandshake) { writeServerHandshake(tls, into: &json) }
  }

  private static func writeNames(
    _ chain: CertificateChain, _ fields: TLSFields, into json: inout JSONWriter
  ) {
    guard let leaf = chain.leaf else { return }
    if fields.contains(.subject), !leaf.subject.isEmpty { json.member("subject", leaf.subject) }
    if fields.contains(.issuer), !leaf.issuer.isEmpty { json.member("issuerdn", leaf.issuer) }
    if fields.contains(.subjectAltName) {
      writeList("subjectaltname", leaf.subjectAltNames, into: &json)
    }
  }

  private static func writeRest(
    _ chain: CertificateChain, _ fields: TLSFields, into json: inout JSONWriter
  ) {
    if fields.contains(.serial) { json.member("serial", ifPresent: chain.leaf?.serial) }
    if fields.contains(.fingerprint) { json.member("fingerprint", chain.fingerprint) }
    guard let leaf = chain.leaf else { return }
    if fields.contains(.notBefore) { writeDate("notbefore", leaf.notBefore, into: &json) }
    if fields.contains(.notAfter) { writeDate("notafter", leaf.notAfter, into: &json) }
  }

  private static func writeDate(
    _ key: StaticString, _ seconds: Int64, into json: inout JSONWriter
  ) {
    json.key(key)
    json.string { TimestampText.appendSeconds(seconds, to: &$0) }
  }

  private static func writeEncoded(
    _ chain: CertificateChain, _ leaf: Bool, _ all: Bool, into json: inout JSONWriter
  ) {
    if leaf, let certificate = chain.certificates.first {
      json.key("certificate")
      json.string { JSONText.appendBase64(certificate.rawSpan, to: &$0) }
    }
    guard all else { return }
    json.beginArray("chain")
    for certificate in chain.certificates {
      json.string { JSONText.appendBase64(certificate.rawSpan, to: &$0) }
    }
    json.endArray()
  }

  private static func writeFingerprints(
    _ tls: TLSTransaction, _ fields: TLSFields, _ settings: EVESettings.TLS,
    into json: inout JSONWriter
  ) {
    if settings.logsJA3, fields.contains(.ja3), let hash = tls.ja3Hash, let text = tls.ja3 {
      json.beginObject("ja3")
      json.member("hash", hash)
      json.member("string", text)
      json.endObject()
    }
    if settings.logsJA3, fields.contains(.ja3s), let hash = tls.ja3sHash, let text = tls.ja3s {
      json.beginObject("ja3s")
      json.member("hash", hash)
      json.member("string", text)
      json.endObject()
    }
    if settings.logsJA4, fields.contains(.ja4) { json.member("ja4", ifPresent: tls.ja4) }
  }

  private static func writeList(
    _ key: StaticString, _ texts: [[UInt8]]?, into json: inout JSONWriter
  ) {
    guard let texts, !texts.isEmpty else { return }
    json.beginArray(key)
    for text in texts { json.string(text) }
    json.endArray()
  }

  /// The client's certificate, where it sent one.
  private static func writeClient(
    _ tls: TLSTransaction, _ fields: TLSFields, into json: inout JSONWriter
  ) {
    guard let chain = tls.clientCertificates else { return }
    let all: TLSFields = [.subject, .issuer, .serial, .fingerprint, .notBefore, .notAfter]
    let isWanted = fields.contains(.client)
    let hasEncoded = fields.contains(.clientCertificate) || fields.contains(.clientChain)
    guard isWanted || hasEncoded else { return }
    json.beginObject("client")
    if isWanted {
      writeNames(chain, all, into: &json)
      writeRest(chain, all, into: &json)
    }
    writeEncoded(
      chain, fields.contains(.clientCertificate), fields.contains(.clientChain), into: &json)
    json.endObject()
  }

  /// What a JA4 is made of.
  private static func writeClientHandshake(_ tls: TLSTransaction, into json: inout JSONWriter) {
    guard let hello = tls.clientHello else { return }
    json.beginObject("client_handshake")
    json.member("version", text: hello.version.name)
    writeNumbers("ciphers", hello.cipherSuites, into: &json)
    writeNumbers("exts", hello.extensions, into: &json)
    writeNumbers("sig_algs", hello.signatureAlgorithms, into: &json)
    json.endObject()
  }

  private static func writeServerHandshake(_ tls: TLSTransaction, into json: inout JSONWriter) {
    guard let hello = tls.serverHello else { return }
    json.beginObject("server_handshake")
    json.member("version", text: hello.version.name)
    json.member("cipher", hello.cipherSuite)
    writeNumbers("exts", hello.extensions, into: &json)
    json.endObject()
  }

  private static func writeNumbers(
    _ key: StaticString, _ numbers: [UInt16], into json: inout JSONWriter
  ) {
    json.beginArray(key)
    for number in numbers where !TLSVersion.isGREASE(number) { json.number(number) }
    json.endArray()
  }
}
