import AppLayer
import Interception
import TestSupport
import Traffic

/// Certificates, each behind its length of two octets: the first of a server, then its chain. They are read as
/// rules see them, and verified and minted as the relay does.
///
/// What is minted says what the original says, and can be read.
enum CertificatesTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    var all: [[UInt8]] = []
    while !reader.isAtEnd, all.count < 8 { all.append(reader.take(Int(reader.u16()))) }
    for der in all { read(der) }
    guard let leaf = all.first, let minted = mint(leaf, Array(all.dropFirst())) else { return }
    precondition(minted.isSigned)
    precondition(minted.mirrorsSubject && minted.mirrorsValidity && minted.mirrorsNames)
    guard let copy = AppLayer.Certificate(parsing: minted.der.rawSpan) else { preconditionFailure("can't be read") }
    if let original = AppLayer.Certificate(parsing: leaf.rawSpan), original.oddities.isEmpty {
      precondition(copy.subject == original.subject && copy.subjectAltNames == original.subjectAltNames)
    }
  }

  private static func read(_ der: [UInt8]) {
    guard let certificate = AppLayer.Certificate(parsing: der.rawSpan) else { return }
    precondition(certificate.subjectAltNames.count <= AppLayer.Certificate.subjectAltNameCountMax)
    precondition(certificate.oddities.count <= der.count)
    // Texts grow by what an octet in hex takes, or a name for an identifier.
    precondition(certificate.subject.count + certificate.issuer.count <= der.count * 12 + 64)
  }

  private static func mint(_ leaf: [UInt8], _ chain: [[UInt8]]) -> CertificateTrial.Outcome? {
    guard let trial else { preconditionFailure("no authority can be made") }
    return trial.run(leaf, chain: chain, name: "a.example")
  }

  private static let trial: CertificateTrial? = {
    var trust = TrustSettings()
    trust.systemFile = nil
    return try? CertificateTrial(trust, now: Conversation.time)
  }()

  static var seeds: [(name: String, bytes: [UInt8])] {
    let whole = TLSTarget.certificate
    return [("fields", input([whole])), ("chain", input([whole, whole])), ("empty", input([[0x30, 0]]))]
  }

  static func input(_ certificates: [[UInt8]]) -> [UInt8] {
    certificates.flatMap { [UInt8($0.count & 255), UInt8($0.count >> 8 & 255)] + $0 }
  }
}
