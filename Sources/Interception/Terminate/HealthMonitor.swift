import CSluiceLinux
import Glibc
import Synchronization
import Traffic

/// Asks all backends, each in its own time, whether they are well; on a thread of its own.
public final class HealthMonitor: Sendable {
  private let publication: TerminationPublication
  private let isStopping = Atomic(false)
  private let thread = Mutex<WorkerThread?>(nil)
  private let told: @Sendable (String) -> Void
  /// A check that takes longer has failed.
  private static let checkNanoseconds: Int64 = 3_000_000_000

  /// - Parameter told: gets a line when a backend changes.
  public init(
    _ publication: TerminationPublication, told: @escaping @Sendable (String) -> Void
  ) throws(InterceptionError) {
    self.publication = publication
    self.told = told
    let started = try WorkerThread.start { [self] in run() }
    thread.withLock { $0 = started }
  }

  public func stop() {
    isStopping.store(true, ordering: .releasing)
    thread.withLock { thread in
      thread?.join()
      thread = nil
    }
  }

  private func run() {
    var checks: [ObjectIdentifier: HealthCheck] = [:]
    var due: [ObjectIdentifier: Int64] = [:]
    while !isStopping.load(ordering: .acquiring) {
      let now = sluice_clock_monotonic()
      var alive: Set<ObjectIdentifier> = []
      for (backend, context) in publication.current.backends where backend.identity.check != .none {
        let key = ObjectIdentifier(backend)
        alive.insert(key)
        if checks[key] == nil, now >= due[key] ?? 0 {
          checks[key] = HealthCheck(backend, context, deadline: now + Self.checkNanoseconds)
          due[key] = now + backend.identity.checkSeconds * 1_000_000_000
        }
      }
      for (key, check) in checks {
        guard alive.contains(key) else {
          checks[key] = nil
          due[key] = nil
          continue
        }
        guard let outcome = check.advance(now: now) else { continue }
        checks[key] = nil
        note(check.backend, outcome)
      }
      // Checks go on in steps of this length; few enough to cost nothing.
      usleep(checks.isEmpty ? 50_000 : 5_000)
    }
  }

  private func note(_ backend: Backend, _ outcome: HealthCheck.Outcome) {
    switch outcome {
    case .well: if backend.succeeded() { told("backend \(backend.name) is well again") }
    case .unwell(let reason): if backend.failed() { told("backend \(backend.name) is unwell: \(reason)") }
    }
  }
}

/// One check under way; never waits.
final class HealthCheck {
  enum Outcome { case well, unwell(String) }
  private enum Step { case connecting, handshake, asking, answer }

  let backend: Backend
  private let context: TLSContext?
  private let deadline: Int64
  private var step = Step.connecting
  private var leg: RelayLeg?
  private var answer: [UInt8] = []
  private var failure: String?

  init(_ backend: Backend, _ context: TLSContext?, deadline: Int64) {
    self.backend = backend
    self.context = context
    self.deadline = deadline
    if let stream = backend.dial() { leg = RelayLeg(stream) } else { failure = errorText(errno) }
  }

  /// nil while it goes on.
  func advance(now: Int64) -> Outcome? {
    if let failure { return .unwell(failure) }
    guard let leg else { return .unwell("no socket") }
    if now >= deadline { return .unwell("timed out") }
    leg.stream.wake(hangUp: false)
    switch step {
    case .connecting: return connecting(leg)
    case .handshake: return handshake(leg)
    case .asking, .answer: return asking(leg)
    }
  }

  private func connecting(_ leg: RelayLeg) -> Outcome? {
    var waiting = pollfd(fd: leg.stream.descriptor, events: Int16(POLLOUT), revents: 0)
    guard unsafe poll(&waiting, 1, 0) > 0 else { return nil }
    let code = sluice_socket_error(leg.stream.descriptor)
    if code != 0 { return .unwell(errorText(code)) }
    if let version = backend.identity.proxyHeader {
      let (count, _) = leg.write(ProxyHeader.ownOctets(version).rawSpan)
      guard count > 0 else { return .unwell("the PROXY header could not be sent") }
    }
    guard let context, let tls = backend.identity.tls else { return connected(leg) }
    guard let endpoint = TLSEndpoint(context, leg.stream), !tls.verifies || endpoint.expect(name: tls.name) else {
      return .unwell("no TLS")
    }
    endpoint.offer(name: tls.name, protocols: [], versions: 0x0303...0x0304, groups: nil)
    leg.tls = endpoint
    step = .handshake
    return handshake(leg)
  }

  private func handshake(_ leg: RelayLeg) -> Outcome? {
    switch leg.tls?.handshake() {
    case nil, .done: return connected(leg)
    case .wantMore: return nil
    case .failed(let failure): return .unwell(failure.text)
    }
  }

  private func connected(_ leg: RelayLeg) -> Outcome? {
    guard case .http(let path) = backend.identity.check else {
      _ = leg.finish(closeNotify: true)
      return .well
    }
    let host = backend.identity.tls?.name ?? "localhost"
    let request = "GET \(path) HTTP/1.1\r\nHost: \(host)\r\nUser-Agent: sluice-check\r\nConnection: close\r\n\r\n"
    let (count, _) = leg.write(Array(request.utf8).rawSpan)
    guard count == request.utf8.count else { return .unwell("the request could not be sent") }
    step = .answer
    return nil
  }

  private func asking(_ leg: RelayLeg) -> Outcome? {
    let scratch = ScratchBuffer(count: 4_096)
    let (count, stop) = leg.fill(scratch)
    if count > 0 { answer += scratch.bytes(count).copied() }
    if answer.count >= 12 {
      let status = Int(String(decoding: answer[9..<12], as: UTF8.self)) ?? 0
      guard answer.starts(with: "HTTP/1.".utf8) else { return .unwell("the answer is not HTTP") }
      return (200...399).contains(status) ? .well : .unwell("the answer is \(status)")
    }
    switch stop {
    case nil, .wouldBlock, .moved: return nil
    case .ended, .reset, .failed: return .unwell("no answer")
    }
  }
}
