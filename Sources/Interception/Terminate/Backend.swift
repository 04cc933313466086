import CSluiceLinux
import Glibc
import Synchronization
import Traffic

/// One server behind a site: where it is, how it does, how busy it is. Shared by all workers; it
/// outlives a reload that leaves it as it was.
final class Backend: Sendable {
  struct Identity: Sendable, Hashable {
    var place: BackendPlace
    var address: SocketName?
    var tls: BackendTLS?
    var check: BackendCheck
    var checkSeconds: Int64
    var proxyHeader: ProxyHeader.Version?
  }

  /// Failures in a row after which a backend is taken for unwell; one success makes it well.
  static let failureCountMax = 2

  let identity: Identity
  private let activeCount = Atomic(0)
  private let failures = Atomic(0)
  private let session = Mutex<TLSSession?>(nil)

  init(_ identity: Identity) { self.identity = identity }

  var name: String { identity.place.description }
  var active: Int { activeCount.load(ordering: .relaxed) }
  var isWell: Bool { failures.load(ordering: .relaxed) < Self.failureCountMax }

  func enter() { activeCount.wrappingAdd(1, ordering: .relaxed) }
  func leave() { activeCount.wrappingSubtract(1, ordering: .relaxed) }

  /// - Returns: whether it is unwell from now on.
  func failed() -> Bool { failures.wrappingAdd(1, ordering: .relaxed).newValue == Self.failureCountMax }

  /// - Returns: whether it was unwell.
  func succeeded() -> Bool {
    failures.exchange(0, ordering: .relaxed) >= Self.failureCountMax
  }

  /// For resumption; a session is used again until a newer one comes.
  var latestSession: TLSSession? {
    get { session.withLock { $0 } }
    set { session.withLock { $0 = newValue } }
  }

  /// Begins a call. - Returns: nil with errno.
  func dial() -> SocketStream? {
    if case .unix(let path) = identity.place {
      let descriptor = unsafe sluice_unix_dial(path)
      return descriptor < 0 ? nil : SocketStream(descriptor: descriptor)
    }
    guard let address = identity.address else {
      errno = EADDRNOTAVAIL
      return nil
    }
    switch Dialer(source: .own, mark: 0).dial(address, asClient: address) {
    case .started(let stream, _): return stream
    case .failed(let code):
      errno = code
      return nil
    }
  }
}

/// The servers of one site.
struct BackendPool: Sendable {
  let backends: [Backend]
  let triesUnwell: Bool

  /// The one with the fewest connections among those that are well and were not tried yet; of equals the
  /// one after `turn`.
  func choose(tried: [Backend], turn: Int) -> Backend? {
    let untried = backends.filter { backend in !tried.contains { $0 === backend } }
    var candidates = untried.filter(\.isWell)
    if candidates.isEmpty, triesUnwell { candidates = untried }
    guard let least = candidates.map(\.active).min() else { return nil }
    let equals = candidates.filter { $0.active <= least }
    // Others may have taken connections meanwhile.
    guard !equals.isEmpty else { return candidates.first }
    return equals[Int(UInt(bitPattern: turn) % UInt(equals.count))]
  }
}
