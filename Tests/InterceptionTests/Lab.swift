import CSluiceOpenSSL
import Glibc
import Synchronization
import Testing
import Traffic

@testable import Interception

/// What the worker under test told, for assertions from the test's thread.
final class Recorder: Sendable {
  struct Record: Sendable {
    var facts: [RelayConnectionFacts] = []
    var events: [InterceptionEvent] = []
    var summaries: [RelaySummary] = []
    /// All bytes by direction, over all connections.
    var bytes: [[UInt8]] = [[], []]
    var ends: [Direction] = []
    var offsetsInOrder = true
  }

  let record = Mutex(Record())
  let verdict: @Sendable (Direction, [UInt8]) -> RelayVerdict
  let keepsBytes: Bool
  /// What is shown in place of a server with a bad certificate.
  let page: [UInt8]?

  init(
    keepsBytes: Bool = true, page: [UInt8]? = nil,
    verdict: @escaping @Sendable (Direction, [UInt8]) -> RelayVerdict = { _, _ in .forward }
  ) {
    self.keepsBytes = keepsBytes
    self.page = page
    self.verdict = verdict
  }

  var facts: [RelayConnectionFacts] { record.withLock { $0.facts } }
  var events: [InterceptionEvent] { record.withLock { $0.events } }
  var summaries: [RelaySummary] { record.withLock { $0.summaries } }
  func bytes(_ direction: Direction) -> [UInt8] { record.withLock { $0.bytes[direction.index] } }
}

final class RecordingObserver: InterceptionObserver {
  let recorder: Recorder
  init(_ recorder: Recorder) { self.recorder = recorder }
  func makeInspector() -> any RelayInspector { RecordingInspector(recorder) }
  func refusalPage(for defect: UpstreamDefect, on connection: borrowing RelayConnectionFacts) -> [UInt8]? { recorder.page }
  func occurred(_ event: InterceptionEvent, on connection: borrowing RelayConnectionFacts, at time: Timestamp) {
    recorder.record.withLock { $0.events.append(event) }
  }
}

private final class RecordingInspector: RelayInspector {
  let recorder: Recorder
  var seen: [UInt64] = [0, 0]
  init(_ recorder: Recorder) { self.recorder = recorder }

  func opened(_ connection: borrowing RelayConnectionFacts) {
    let facts = copy connection
    recorder.record.withLock { $0.facts.append(facts) }
  }

  func inspect(_ chunk: borrowing StreamChunk) -> RelayVerdict {
    let direction = chunk.direction
    let inOrder = chunk.offset == seen[direction.index]
    seen[direction.index] += UInt64(chunk.bytes.byteCount)
    let bytes = recorder.keepsBytes ? chunk.bytes.copied() : []
    let isEnd = chunk.isEnd
    recorder.record.withLock {
      if !inOrder { $0.offsetsInOrder = false }
      $0.bytes[direction.index] += bytes
      if isEnd { $0.ends.append(direction) }
    }
    return recorder.verdict(direction, bytes)
  }

  func closed(_ summary: RelaySummary) { recorder.record.withLock { $0.summaries.append(summary) } }
}

/// A worker on its own thread in front of one server, all on loopback.
final class Lab: Sendable {
  static let time = Timestamp(nanoseconds: sluice_now())

  let authority: CertificateAuthority
  let upstreamAuthority: CertificateAuthority
  let recorder: Recorder
  let port: UInt16
  private let mailbox: InterceptionMailbox
  private let thread: WorkerThread

  init(
    server: UInt16, family: Int32 = AF_INET, recorder: Recorder = Recorder(), trusts: CertificateAuthority = Lab.upstream,
    policy: any InterceptionPolicy = UniformPolicy(.inspect), signer: SigningScene? = nil,
    _ adjust: (inout InterceptionSettings) -> Void = { _ in }
  ) throws {
    self.recorder = recorder
    upstreamAuthority = trusts
    authority = try signer?.keyless ?? CertificateAuthority.generate(commonName: "Test CA", now: Self.time)
    let address = IPAddress(octets16: Peer.loopback(family))
    var settings = InterceptionSettings()
    settings.fixedDestination = .init(address: address, port: server)
    settings.sourceAddress = .own
    settings.clientMark = 0
    settings.serverMark = 0
    settings.serverFirstWaitMilliseconds = 5_000
    adjust(&settings)

    var trust = TrustSettings()
    trust.systemFile = nil
    let pem = try TemporaryFile(trusts.certificatePEM())
    trust.extraFiles = [pem.path]
    let services = try InterceptionServices(
      issuers: LeafIssuers(trusted: authority, now: Self.time), verifier: UpstreamVerifier(trust), policy: policy)

    var listening = ListenerSettings(address: address, port: 0)
    listening.isTransparent = false
    listening.mark = 0
    let listener = try ListenerSocket(listening)
    port = listener.port
    let mailbox = try InterceptionMailbox()
    self.mailbox = mailbox
    thread = try WorkerThread.start { [settings] in
      do {
        let worker = try InterceptionWorker(
          index: 0, settings: settings, services: services, listeners: [listener],
          observer: RecordingObserver(recorder), mailbox: mailbox, signer: signer?.workerEnd)
        worker.run()
      } catch {
        Issue.record("worker: \(error)")
      }
    }
  }

  /// Drains the worker and waits for its end; after it everything is recorded.
  @discardableResult
  func stop() -> InterceptionCounters {
    mailbox.stop()
    thread.join()
    return mailbox.counters
  }

  var counters: InterceptionCounters { mailbox.counters }

  func adopt(_ connection: AdoptedConnection) -> Bool { mailbox.adopt(connection) }

  // MARK: Certificates of test servers

  static let upstream: CertificateAuthority = authority("Upstream CA")
  static let stranger: CertificateAuthority = authority("Unknown CA")
  static let serverKey: PrivateKey = made(PrivateKey.generate())

  private static func authority(_ name: String) -> CertificateAuthority {
    made(try? CertificateAuthority.generate(commonName: name, now: time))
  }

  private static func made<Value>(_ value: Value?) -> Value {
    guard let value else { preconditionFailure("OpenSSL could not make a test key") }
    return value
  }

  static func leaf(
    names: String? = "DNS:server.example,DNS:*.wild.example,IP:192.0.2.7", by issuer: CertificateAuthority = upstream,
    fromDays: Int64 = -1, toDays: Int64 = 90, usage: String = "critical,digitalSignature", purpose: String = "serverAuth",
    key: PrivateKey = serverKey, digestName: String = "SHA256", more: [(Int32, String)] = []
  ) throws -> Certificate {
    guard var draft = CertificateDraft() else { throw InterceptionError.library("no draft") }
    draft.addToSubject("O", "Example")
    draft.addToSubject("CN", "server.example")
    draft.issuer(issuer.certificate)
    draft.validity(
      from: Timestamp(seconds: time.seconds + fromDays * 86_400), to: Timestamp(seconds: time.seconds + toDays * 86_400))
    draft.publicKey(of: key)
    if let names { draft.add(try #require(CertificateExtension.make(NID_subject_alt_name, names))) }
    for (kind, value) in more { draft.add(try #require(CertificateExtension.make(kind, value))) }
    draft.add(try #require(CertificateExtension.make(NID_key_usage, usage)))
    draft.add(try #require(CertificateExtension.make(NID_ext_key_usage, purpose)))
    let digest = try #require(MessageDigest(digestName))
    let signed = draft.sign(with: try #require(issuer.key), digest: digest)
    return try #require(signed)
  }
}

func sluice_now() -> Int64 { Int64(time(nil)) * 1_000_000_000 }

/// A file that is gone with the object.
final class TemporaryFile {
  let path: String
  init(_ bytes: [UInt8]) throws {
    path = "/tmp/sluice-test-\(hexadecimal(try #require(randomBytes(8))))"
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
    try #require(file >= 0)
    try #require(unsafe write(file, bytes, bytes.count) == bytes.count)
    close(file)
  }
  deinit { unsafe unlink(path) }
}
