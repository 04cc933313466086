import Synchronization
import Traffic

/// How connections that cannot be taken apart come to be left alone.
public struct LearnedBypassSettings: Sendable {
  public enum Mode: Sendable, Hashable {
    case off
    /// Candidates are told and listed; nothing changes until someone approves.
    case approve
    case automatic
  }

  public var mode = Mode.automatic
  /// Refusals in a row before an entry is made.
  public var refusalCount = 3
  /// A connection counts only where it was opened this long after the last refusal that counted: clients open several
  /// at once, and all of them fail of what one of them fails of.
  public var attemptSpacingSeconds: Int64 = 1
  /// Refusals further apart are not one row.
  public var refusalWindowSeconds: Int64 = 600
  /// A server that asks for a client certificate is learned at the first request, not only when it refuses to go
  /// on without.
  public var learnsRequestedCertificates = false
  /// How long an entry holds.
  public var bypassSeconds: Int64 = 86_400
  /// So many entries that hold, and as many candidates; of each the least recently used one goes first.
  public var entryCountMax = 4_096
  /// Of each so many for one client (an IPv6 network of 64 bits counts as one), which pushes out its own only.
  public var clientEntryCountMax = 64

  public init() {}
}

/// Who talks to whom, by what software.
public struct BypassKey: Sendable, Hashable {
  public var client: IPAddress
  /// The name asked for; without one, address and port.
  public var server: String
  /// What software made the hello, as ``ClientHelloSketch/shape``.
  public var clientShape: [UInt8]
}

/// One learned bypass, or a candidate for one.
public struct BypassEntry: Sendable, Hashable {
  public enum State: Sendable, Hashable {
    case counting
    case awaitingApproval
    case active(until: Timestamp)
  }

  public var key: BypassKey
  public var state: State
  public var refusals: Int
  public var lastRefusal: Timestamp
  /// What the last refusal was.
  public var reason: String

  /// Names the entry on a command line: 8 hex digits that follow from its key.
  public var id: String {
    let text = "\(key.client) \(key.server) \(hexadecimal(key.clientShape))"
    return hexadecimal(Array(sha256(Array(text.utf8)).prefix(4)))
  }
}

/// A policy that tunnels what has been refused several times: clients that pin certificates, and
/// servers that want a certificate only the client has.
///
/// Only a decision to inspect is ever softened; `block` and `tunnel` of the policy below stand. An
/// entry holds for one client, one server name and one kind of client software, so that one pinned
/// app does not open the way for others. Software that refuses on purpose gets a tunnel too, which
/// metadata rules still see: where that is unwanted, set the mode to `approve`.
///
/// What a client does can't push out what others have learned: candidates and entries are kept apart, and a
/// client with many of them loses its own.
public final class LearnedBypass: InterceptionPolicy {
  private struct Tables {
    /// Counting, or awaiting approval.
    var candidates: LRUTable<BypassKey, BypassEntry>
    /// Active, also those that have run out and were not met since.
    var learned: LRUTable<BypassKey, BypassEntry>
    /// Changes of what outlives a restart.
    var changes: UInt64 = 0
  }

  private let base: any InterceptionPolicy
  private let settings: LearnedBypassSettings
  private let tables: Mutex<Tables>

  public init(base: any InterceptionPolicy, settings: LearnedBypassSettings = LearnedBypassSettings()) {
    self.base = base
    self.settings = settings
    tables = Mutex(
      Tables(
        candidates: LRUTable(countMax: settings.entryCountMax), learned: LRUTable(countMax: settings.entryCountMax)))
  }

  public func decide(_ facts: PolicyFacts) -> PolicyDecision {
    let decision = base.decide(facts)
    guard decision.action == .inspect, settings.mode != .off else { return decision }
    let key = Self.key(facts.flow, facts.sni, facts.clientShape)
    let entry = tables.withLock { $0.learned.value(for: key) }
    guard let entry, case .active(let until) = entry.state, facts.time < until else { return decision }
    return PolicyDecision(.tunnel, reason: "learned: \(entry.reason)")
  }

  public func noticed(
    _ event: InterceptionEvent, on connection: borrowing RelayConnectionFacts, at time: Timestamp
  ) -> InterceptionEvent? {
    guard settings.mode != .off, let (reason, isProof) = refusal(event, connection) else { return nil }
    let key = Self.key(connection.flow, connection.sni, connection.clientShape)
    let openedAt = connection.openedAt
    return tables.withLock { tables in
      if let known = tables.learned.value(for: key), case .active(let until) = known.state {
        // A connection that was under way when it was learned says nothing new; what has run out begins anew.
        if time < until { return nil }
        _ = tables.learned.remove(key)
        tables.changes &+= 1
      }
      var entry: BypassEntry
      if let candidate = tables.candidates.value(for: key) {
        entry = candidate
        guard isProof || isAnotherAttempt(openedAt, entry.lastRefusal, now: time) else { return nil }
      } else {
        entry = BypassEntry(key: key, state: .counting, refusals: 0, lastRefusal: time, reason: reason)
        makeRoom(in: &tables.candidates, for: key)
      }
      let before = entry.state
      count(&entry, reason, time, isProof)
      put(entry, in: &tables)
      guard entry.state != before else { return nil }
      tables.changes &+= 1
      return .bypassLearned(entry)
    }
  }

  public func accepted(_ connection: borrowing RelayConnectionFacts) {
    guard settings.mode != .off, !connection.upstreamWantsClientCertificate else { return }
    let key = Self.key(connection.flow, connection.sni, connection.clientShape)
    tables.withLock { tables in
      // So that only refusals in a row count; what was learned or asked for stays.
      if tables.candidates.count > 0, tables.candidates.value(for: key)?.state == .counting {
        _ = tables.candidates.remove(key)
      }
    }
  }

  // MARK: Counting

  /// Whether the client knew of the last refusal, and had time to think, when it opened this connection.
  private func isAnotherAttempt(_ openedAt: Timestamp, _ last: Timestamp, now: Timestamp) -> Bool {
    // Where the clock was set back, nothing is known of before.
    now < last || openedAt.nanoseconds &- last.nanoseconds >= settings.attemptSpacingSeconds &* 1_000_000_000
  }

  /// - Parameter isProof: what the protocol itself says needs no repetition.
  private func count(_ entry: inout BypassEntry, _ reason: String, _ time: Timestamp, _ isProof: Bool) {
    let apart = time.seconds(since: entry.lastRefusal)
    if apart > settings.refusalWindowSeconds || apart < 0 { entry.refusals = 0 }
    entry.refusals = isProof ? max(entry.refusals + 1, settings.refusalCount) : entry.refusals + 1
    entry.lastRefusal = time
    entry.reason = reason
    guard entry.refusals >= settings.refusalCount, entry.state == .counting else { return }
    entry.state = settings.mode == .approve ? .awaitingApproval : .active(until: end(from: time))
  }

  private func put(_ entry: BypassEntry, in tables: inout Tables) {
    guard case .active = entry.state else { return tables.candidates.set(entry, for: entry.key) }
    _ = tables.candidates.remove(entry.key)
    makeRoom(in: &tables.learned, for: entry.key)
    tables.learned.set(entry, for: entry.key)
  }

  /// A client with as many entries as it may have loses the one it used least recently.
  private func makeRoom(in table: inout LRUTable<BypassKey, BypassEntry>, for key: BypassKey) {
    guard table.value(for: key) == nil else { return }
    let (count, oldest) = table.oldest { Self.isSameClient($0.client, key.client) }
    if count >= settings.clientEntryCountMax, let oldest { _ = table.remove(oldest) }
  }

  /// Whoever has an IPv6 address has most likely all of its network (RFC 4291 section 2.5.4).
  private static func isSameClient(_ one: IPAddress, _ other: IPAddress) -> Bool {
    one.high == other.high && (one.low == other.low || !one.isIPv4 && !other.isIPv4)
  }

  private func end(from time: Timestamp) -> Timestamp {
    Timestamp(nanoseconds: time.nanoseconds &+ settings.bypassSeconds &* 1_000_000_000)
  }

  // MARK: Over a restart

  /// Grows with each change of what ``kept`` gives.
  public var changes: UInt64 { tables.withLock { $0.changes } }

  /// What has been learned or awaits approval; the most recently used one last.
  public var kept: [BypassEntry] {
    tables.withLock { tables in tables.candidates.valuesByUse.filter { $0.state == .awaitingApproval } + tables.learned.valuesByUse }
  }

  /// Takes up what another run has learned; no entry holds longer than one learned now would.
  /// - Returns: how many had run out.
  public func restore(_ entries: [BypassEntry], at now: Timestamp) -> Int {
    guard settings.mode != .off else { return 0 }
    var expired = 0
    tables.withLock { tables in
      for var entry in entries {
        if case .active(let until) = entry.state {
          guard now < until else {
            expired += 1
            continue
          }
          entry.state = .active(until: min(until, end(from: now)))
        }
        entry.lastRefusal = min(entry.lastRefusal, now)
        if case .awaitingApproval = entry.state { makeRoom(in: &tables.candidates, for: entry.key) }
        put(entry, in: &tables)
      }
    }
    return expired
  }

  // MARK: For the control socket

  /// Everything learned or counted, in no order.
  public var entries: [BypassEntry] { tables.withLock { $0.candidates.values + $0.learned.values } }

  /// - Returns: false where there is no such entry.
  @discardableResult
  public func approve(_ key: BypassKey, at time: Timestamp) -> Bool {
    tables.withLock { tables in
      guard var entry = tables.candidates.value(for: key) ?? tables.learned.value(for: key) else { return false }
      entry.state = .active(until: end(from: time))
      put(entry, in: &tables)
      tables.changes &+= 1
      return true
    }
  }

  /// By the id of an entry. - Returns: false where there is no such entry.
  public func approve(id: String, at time: Timestamp) -> Bool {
    guard let entry = entries.first(where: { $0.id == id }) else { return false }
    return approve(entry.key, at: time)
  }

  /// By the id of an entry, or `all`. - Returns: how many there were.
  public func forget(id: String) -> Int {
    entries.filter { id == "all" || $0.id == id }.reduce(0) { forget($1.key) ? $0 + 1 : $0 }
  }

  /// Inspect again from the next connection on. - Returns: false where there is no such entry.
  @discardableResult
  public func forget(_ key: BypassKey) -> Bool {
    tables.withLock { tables in
      let candidate = tables.candidates.remove(key)
      let learned = tables.learned.remove(key)
      guard candidate != nil || learned != nil else { return false }
      tables.changes &+= 1
      return true
    }
  }

  // MARK: What counts

  /// What a server says to a client without a certificate: RFC 8446 section 6.2.
  private static let refusals = Set([40, 42, 43, 46, 48, 49, 116].map { OpenSSLErrors.alertName($0) })

  /// The words for a refusal, and whether one is enough; nil for an event that is none.
  private func refusal(
    _ event: InterceptionEvent, _ connection: borrowing RelayConnectionFacts
  ) -> (reason: String, isProof: Bool)? {
    switch event {
    case .clientHandshakeFailed(let failure):
      // A leaf that was meant to be refused teaches nothing.
      guard connection.upstreamVerification == .trusted else { return nil }
      switch failure.cause {
      // RFC 8446 section 6.2: bad_certificate, unsupported_certificate, certificate_unknown, unknown_ca.
      case .alert(42), .alert(43), .alert(46), .alert(48): return ("client refuses the certificate (\(failure.text))", false)
      case .closed, .reset: return ("client closes at the certificate", false)
      case .alert, .protocol: return nil
      }
    // Of a server that may be anybody nothing is learned: what it says would open the way for whoever stands there.
    case .upstreamHandshakeFailed, .ended, .upstreamWantsClientCertificate, .renegotiationRefused:
      return connection.upstreamIsAccepted ? word(event, connection).map { ($0, true) } : nil
    default: return nil
    }
  }

  /// By what a server says that it can't be inspected; what the protocol itself says needs no repetition.
  private func word(_ event: InterceptionEvent, _ connection: borrowing RelayConnectionFacts) -> String? {
    switch event {
    case .upstreamHandshakeFailed(let failure) where connection.upstreamWantsClientCertificate:
      // Before TLS 1.3 no refusal is protected, so that none could be told from another's.
      return connection.upstreamTLSVersion < 0x0304 || failure.isProtected ? "server wants a client certificate" : nil
    case .ended(.failed(.toClient, let text)) where connection.upstreamWantsClientCertificate:
      // Connections break for other reasons too, some of which are in the client's hands.
      return Self.refusals.contains(text) ? "server wants a client certificate" : nil
    case .upstreamWantsClientCertificate where settings.learnsRequestedCertificates:
      return "server asks for a client certificate"
    case .renegotiationRefused(.toClient):
      return "server wants to renegotiate"
    default: return nil
    }
  }

  private static func key(_ flow: FlowTuple, _ sni: String?, _ shape: [UInt8]) -> BypassKey {
    BypassKey(client: flow.source, server: sni ?? "\(flow.destination) \(flow.destinationPort)", clientShape: shape)
  }
}
