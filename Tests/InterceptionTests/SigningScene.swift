import CSluiceLinux
import Glibc
import Synchronization
import Testing

@testable import Interception

/// What holds the authority's key in another process, here on the test's own terms: a test reads requests and answers them.
final class SigningScene: Sendable {
  let authority: CertificateAuthority
  /// The same without its key, as the daemon has it.
  let keyless: CertificateAuthority
  let signer: LeafSigner
  let workerEnd: Int32
  let otherEnd: Int32
  private let thread = Mutex<WorkerThread?>(nil)

  /// - Parameter answers: a thread serves as the real process does; else the test has to.
  init(answers: Bool = true) throws {
    authority = try CertificateAuthority.generate(commonName: "Test CA", now: Lab.time)
    keyless = CertificateAuthority(
      key: nil, certificate: authority.certificate, keyIdentifier: authority.keyIdentifier, algorithm: authority.algorithm)
    signer = try Self.signer(authority)
    var ends: [Int32] = [-1, -1]
    try #require(unsafe sluice_message_pair(&ends) == 0)
    (workerEnd, otherEnd) = (ends[0], ends[1])
    if answers { serve() }
  }

  static func signer(_ authority: CertificateAuthority) throws -> LeafSigner {
    let key = try #require(authority.key?.pem())
    return try LeafSigner(key: key, named: "key", certificate: authority.certificatePEM(), named: "certificate")
  }

  func serve() {
    let (signer, otherEnd) = (signer, otherEnd)
    thread.withLock { $0 = try? WorkerThread.start { signer.serve([otherEnd]) } }
  }

  /// One request, as it came; nil where none comes within five seconds.
  func request() -> [UInt8]? {
    var polled = pollfd(fd: otherEnd, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&polled, 1, 5_000) == 1 else { return nil }
    var buffer = [UInt8](repeating: 0, count: SigningMessage.requestBytesMax + 8)
    let got = unsafe recv(otherEnd, &buffer, buffer.count, 0)
    return got > 0 ? Array(buffer[..<got]) : nil
  }

  func say(_ message: SigningMessage) { LeafSigner.say(message, on: otherEnd) }

  /// The process is gone for good.
  func leave() { close(otherEnd) }

  /// Ends what serves; once the worker has ended.
  func stop() {
    close(workerEnd)
    thread.withLock {
      $0?.join()
      $0 = nil
    }
  }
}
