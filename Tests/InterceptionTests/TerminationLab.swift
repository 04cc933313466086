import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Testing
import Traffic

@testable import Interception

/// A worker in front of sites of its own, on loopback.
final class TerminationLab {
  let port: UInt16
  let recorder: Recorder
  let publication: TerminationPublication
  let tickets: TicketKeys
  private let files: [TemporaryFile]
  private let mailbox: InterceptionMailbox
  private let thread: WorkerThread
  private(set) var monitor: HealthMonitor?

  /// PEM of a leaf and its key in one file.
  static func pem(_ names: String, by issuer: CertificateAuthority = Lab.upstream) throws -> [UInt8] {
    let leaf = try Lab.leaf(names: names, by: issuer)
    let (certificate, key) = (leaf.pem(), Lab.serverKey.pem())
    return try #require(certificate) + #require(key)
  }

  /// - Parameter adjust: gets a listener with one site, whose certificate is in `files[0]`, the authority of it
  ///   and of backends in `files[1]`.
  init(
    recorder: Recorder = Recorder(), names: [String] = ["DNS:www.site.example,DNS:*.wild.example"], watches: Bool = false,
    _ adjust: (inout TerminationSettings.Listener, [TemporaryFile]) throws -> Void
  ) throws {
    self.recorder = recorder
    files = try [TemporaryFile(Self.pem(names[0])), TemporaryFile(Lab.upstream.certificatePEM())]
      + names.dropFirst().map { try TemporaryFile(Self.pem($0)) }
    var site = TerminationSettings.Site()
    site.name = "site"
    site.certificateFile = files[0].path
    site.keyFile = files[0].path
    site.check = .none
    var listener = TerminationSettings.Listener()
    listener.sites = [site]
    try adjust(&listener, files)
    var termination = TerminationSettings()
    termination.listeners = [listener]
    let authority = try CertificateAuthority.generate(commonName: "Unused", now: Lab.time)
    var trust = TrustSettings()
    trust.systemFile = nil
    trust.extraFiles = [files[1].path]
    var services = try InterceptionServices(
      issuers: LeafIssuers(trusted: authority, now: Lab.time), verifier: UpstreamVerifier(trust),
      policy: UniformPolicy(.inspect))
    tickets = services.tickets
    publication = TerminationPublication(try TerminationPlan(termination, tickets: tickets, keyLog: nil))
    services.termination = publication
    if watches { monitor = try HealthMonitor(publication) { _ in } }
    var listening = ListenerSettings(address: IPAddress(octets16: Peer.loopback(AF_INET)), port: 0)
    listening.isTransparent = false
    listening.mark = 0
    let socket = try ListenerSocket(listening)
    port = socket.port
    let mailbox = try InterceptionMailbox()
    self.mailbox = mailbox
    thread = try WorkerThread.start { [services] in
      do {
        let worker = try InterceptionWorker(
          index: 0, settings: InterceptionSettings(), services: services, listeners: [],
          fronts: [TerminationSocket(socket, listener: 0)], observer: RecordingObserver(recorder), mailbox: mailbox)
        worker.run()
      } catch {
        Issue.record("worker: \(error)")
      }
    }
  }

  var counters: InterceptionCounters { mailbox.counters }

  @discardableResult
  func stop() -> InterceptionCounters {
    monitor?.stop()
    mailbox.stop()
    thread.join()
    return mailbox.counters
  }

  func client(_ name: String? = "www.site.example", source: UInt8? = nil, version: Int32 = 0) throws -> Peer {
    let peer = try Peer.connect(port: port, source: source)
    let context = try PeerContext.client(trusting: Lab.upstream, version: version)
    let ok = peer.startTLS(context, name: name)
    try #require(ok, "\(peer.handshakeError?.text ?? "")")
    return peer
  }
}

extension BackendPlace {
  static func local(_ port: UInt16) -> BackendPlace { .tcp(host: "127.0.0.1", port: port) }
}

/// Reads one HTTP request of no body, notes it and answers with `answer`.
func answering(_ seen: Seen, _ answer: String = "hello") -> @Sendable (Peer) -> Void {
  { peer in
    var bytes: [UInt8] = []
    while let more = peer.read(), !more.isEmpty {
      bytes += more
      while bytes.count >= 4, let end = (0...(bytes.count - 4)).first(where: { Array(bytes[$0..<$0 + 4]) == [13, 10, 13, 10] }) {
        seen.note(String(decoding: bytes[..<(end + 4)], as: UTF8.self))
        bytes.removeFirst(end + 4)
        peer.write(Array("HTTP/1.1 200 OK\r\nContent-Length: \(answer.utf8.count)\r\n\r\n\(answer)".utf8))
      }
    }
    peer.endWriting()
  }
}
