import CSluiceOpenSSL
import Traffic

/// What the relay does with a server's certificate, from its octets to the leaf that stands for it, without a
/// connection: for the tests that bring hostile ones.
package final class CertificateTrial: Sendable {
  private let issuers: LeafIssuers
  private let verifier: UpstreamVerifier
  private let now: Timestamp

  /// What came of one certificate.
  package struct Outcome {
    package let verification: UpstreamVerification
    /// The leaf that was minted.
    package let der: [UInt8]
    /// By the authority that its trust asks for.
    package let isSigned: Bool
    package let mirrorsSubject: Bool
    package let mirrorsValidity: Bool
    /// Subject alternative names, octet by octet.
    package let mirrorsNames: Bool
  }

  /// - Parameters:
  ///   - trust: whose certificates are trusted.
  ///   - now: when chains have to be valid.
  package init(_ trust: TrustSettings, now: Timestamp) throws(CertificateTrialError) {
    self.now = now
    do throws(AuthorityError) {
      issuers = try LeafIssuers(trusted: try .generate(commonName: "trial", now: now), now: now)
    } catch { throw .authority(error) }
    do throws(TrustError) { verifier = try UpstreamVerifier(trust) } catch { throw .trust(error) }
  }

  /// - Parameters:
  ///   - leaf: DER, the server's own; `chain` what it sends with it.
  ///   - name: that the client asked for.
  /// - Returns: nil where the octets are no certificate, or one that OpenSSL can make none like.
  package func run(_ leaf: [UInt8], chain: [[UInt8]], name: String?) -> Outcome? {
    guard let upstream = Certificate.read(der: leaf) else { return nil }
    let all = [upstream] + chain.compactMap { Certificate.read(der: $0) }
    let verification = verifier.verify(all, name: name, staple: [], now: now).result
    let isTrusted = verification == .trusted
    defer { OpenSSLErrors.clear() }
    guard var minter = try? LeafMinter(issuers: issuers, countMax: 1),
      let minted = minter.leaf(
        for: upstream, fingerprint: upstream.fingerprint(), isTrusted: isTrusted, name: name)?.certificate
    else { return nil }
    let issuer = isTrusted ? issuers.trusted : issuers.untrusted
    return Outcome(
      verification: verification, der: minted.der(), isSigned: minted.isSigned(by: issuer.certificate),
      mirrorsSubject: minted.subject == upstream.subject,
      mirrorsValidity: minted.notBefore == upstream.notBefore && minted.notAfter == upstream.notAfter,
      mirrorsNames: minted.extensionValue(NID_subject_alt_name) == upstream.extensionValue(NID_subject_alt_name))
  }
}

/// Why nothing can be tried.
package enum CertificateTrialError: Error {
  case authority(AuthorityError)
  case trust(TrustError)
}
