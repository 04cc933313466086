import AppLayer
import EventOutput
import Inspection
import Interception
import Traffic

/// What events tell of the certificates on both legs.
enum CertificateFacts {
  /// Of the server's leaf; empty where it showed none.
  static func upstream(_ connection: borrowing RelayConnectionFacts) -> [(name: String, value: String)] {
    guard let der = connection.upstreamCertificates.first else { return [] }
    return facts(der, "upstream_")
  }

  /// Both legs of an opened connection: what was agreed on, what was shown, how long it took.
  static func legs(
    _ connection: borrowing RelayConnectionFacts, _ tls: TLSTransaction
  ) -> [DecryptionFacts.Member] {
    var legs: [DecryptionFacts.Member] = []
    if let ja4 = tls.ja4 { legs.append(.init("ja4", .text(text(ja4)))) }
    var client = leg(
      connection.tlsVersion, connection.cipherSuite, connection.clientResumed, connection.clientHandshakeTime)
    client += facts(connection.mintedCertificate, "").map { .init($0.name, .text($0.value)) }
    var server = leg(
      connection.upstreamTLSVersion, connection.upstreamCipherSuite, connection.upstreamResumed,
      connection.upstreamHandshakeTime)
    server += upstream(connection).map { .init(String($0.name.dropFirst(9)), .text($0.value)) }
    server.append(.init("connect_us", .number(microseconds(connection.dialTime))))
    server.append(.init("ocsp_staple", .text(connection.upstreamStaple.text)))
    server.append(.init("certificates", .number(UInt64(connection.upstreamCertificates.count))))
    server.append(.init("asked_client_certificate", .flag(connection.upstreamWantsClientCertificate)))
    switch connection.upstreamVerification {
    case .untrusted(let defect)?: server.append(.init("defect", .text(defect.kind.rawValue)))
    case .trusted?, nil: break
    }
    return legs + [.init("client", .object(client)), .init("server", .object(server))]
  }

  private static func leg(
    _ version: UInt16, _ suite: String, _ isResumed: Bool, _ time: Int64
  ) -> [DecryptionFacts.Member] {
    [
      .init("version", .text(TLSVersion(rawValue: version).name)), .init("cipher", .text(suite)),
      .init("resumed", .flag(isResumed)), .init("handshake_us", .number(microseconds(time))),
    ]
  }

  private static func microseconds(_ nanoseconds: Int64) -> UInt64 { UInt64(max(0, nanoseconds / 1_000)) }

  private static func facts(_ der: [UInt8], _ prefix: String) -> [(name: String, value: String)] {
    guard let certificate = Certificate(parsing: der.rawSpan) else { return [] }
    var dates: [UInt8] = []
    func date(_ seconds: Int64) -> String {
      dates.removeAll(keepingCapacity: true)
      TimestampText.appendSeconds(seconds, to: &dates)
      return String(decoding: dates, as: UTF8.self)
    }
    return [
      (prefix + "subject", text(certificate.subject)), (prefix + "issuer", text(certificate.issuer)),
      (prefix + "fingerprint", text(Digest.sha1.hex(der))),
      (prefix + "not_before", date(certificate.notBefore)), (prefix + "not_after", date(certificate.notAfter)),
    ]
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
