import CSluiceLinux
import CSluiceOpenSSL
import Glibc

/// Signs leaves for workers; what a process of its own does with the authority's key.
///
/// SAFETY: buffers are handed to the library and the kernel together with their length.
@safe
public struct LeafSigner: Sendable {
  private let key: PrivateKey
  private let digest: MessageDigest
  private let rules: LeafRules

  /// - Parameters: both in PEM form, as read from the files that the names stand for.
  public init(
    key: [UInt8], named keyPath: String, certificate: [UInt8], named certificatePath: String
  ) throws(AuthorityError) {
    guard let key = PrivateKey.read(pem: key) else { throw .notAKey(path: keyPath) }
    guard let certificate = Certificate.read(pem: certificate) else { throw .notACertificate(path: certificatePath) }
    guard key.matches(certificate) else { throw .keyDoesNotMatch(key: keyPath, certificate: certificatePath) }
    guard let algorithm = certificate.signatureAlgorithm, let digest = MessageDigest("SHA256") else {
      throw .notAnAuthority(path: certificatePath)
    }
    self.key = key
    self.digest = digest
    rules = LeafRules(issuer: certificate.subjectDER, algorithm: algorithm)
    // Whatever the library fetches for the first signature is there then.
    guard sign([0]) != nil else { throw .library(OpenSSLErrors.drain().text) }
  }

  /// The answer to a request; nil for none to what is none.
  func answer(_ request: ArraySlice<UInt8>) -> SigningMessage? {
    guard request.count > SigningMessage.numberBytes else { return nil }
    let number = SigningMessage.number(request)
    let toBeSigned = request.dropFirst(SigningMessage.numberBytes)
    if let objection = rules.objection(to: toBeSigned) { return .refused(number: number, reason: objection) }
    guard let signature = sign(Array(toBeSigned)) else {
      return .refused(number: number, reason: OpenSSLErrors.drain().text)
    }
    return .signed(number: number, signature: signature)
  }

  private func sign(_ bytes: [UInt8]) -> [UInt8]? {
    guard let context = unsafe EVP_MD_CTX_new() else { return nil }
    defer { unsafe EVP_MD_CTX_free(context) }
    var count = 0
    guard unsafe EVP_DigestSignInit(context, nil, digest.pointer, nil, key.pointer) == 1,
      unsafe EVP_DigestSign(context, nil, &count, bytes, bytes.count) == 1, count <= 1_024
    else { return nil }
    var signature = [UInt8](repeating: 0, count: count)
    guard unsafe EVP_DigestSign(context, &signature, &count, bytes, bytes.count) == 1 else { return nil }
    return Array(signature.prefix(count))
  }

  /// Answers until nobody is left who could ask.
  public func serve(_ descriptors: [Int32]) {
    var open = descriptors
    for descriptor in open { LeafSigner.say(.ready, on: descriptor) }
    var buffer = [UInt8](repeating: 0, count: SigningMessage.requestBytesMax + SigningMessage.numberBytes + 1)
    while !open.isEmpty {
      var polled = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      let count = unsafe poll(&polled, UInt(polled.count), -1)
      if count < 0, errno != EINTR { return }
      for one in polled where one.revents != 0 {
        let got = unsafe recv(one.fd, &buffer, buffer.count, 0)
        if got < 0, errno == EINTR || errno == EAGAIN { continue }
        if got <= 0 {
          open.removeAll { $0 == one.fd }
          close(one.fd)
        } else if let answer = answer(buffer[..<got]) {
          LeafSigner.say(answer, on: one.fd)
        }
      }
    }
  }

  /// Also for who could not become one.
  static func say(_ message: SigningMessage, on descriptor: Int32) {
    let bytes = message.bytes
    while unsafe send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) < 0, errno == EINTR {}
  }
}
