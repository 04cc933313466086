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
  /// Refusals further apart are not one row.
  public var refusalWindowSeconds: Int64 = 600
  /// A server that asks for a client certificate is learned at the first request, not only when it refuses to go
  /// on without.
  public var learnsRequestedCertificates = false
  /// How long an entry holds.
  public var bypassSeconds: Int64 = 86_400
  /// Entries and candidates together; the least recently used one goes first.
  public var entryCountMax = 4_096

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
public final class LearnedBypass: InterceptionPolicy {
  private let base: any InterceptionPolicy
  private let settings: LearnedBypassSettings
  private let table: Mutex<LRUTable<BypassKey, BypassEntry>>

  public init(base: any InterceptionPolicy, settings: LearnedBypassSettings = LearnedBypassSettings()) {
    self.base = base
    self.settings = settings
    table = Mutex(LRUTable(countMax: settings.entryCountMax))
  }

  public func decide(_ facts: PolicyFacts) -> PolicyDecision {
    let decision = base.decide(facts)
    guard decision.action == .inspect, settings.mode != .off else { return decision }
    let key = Self.key(facts.flow, facts.sni, facts.clientShape)
    let entry = table.withLock { $0.value(for: key) }
    guard let entry, case .active(let until) = entry.state, facts.time < until else { return decision }
    return PolicyDecision(.tunnel, reason: "learned: \(entry.reason)")
  }

  public func noticed(
    _ event: InterceptionEvent, on connection: borrowing RelayConnectionFacts, at time: Timestamp
  ) -> InterceptionEvent? {
    guard settings.mode != .off, let (reason, isProof) = refusal(event, connection) else { return nil }
    let key = Self.key(connection.flow, connection.sni, connection.clientShape)
    return table.withLock { table in
      var entry = table.value(for: key)
        ?? BypassEntry(key: key, state: .counting, refusals: 0, lastRefusal: time, reason: reason)
      let before = entry.state
      count(&entry, reason, time, isProof)
      table.set(entry, for: key)
      return entry.state == before ? nil : .bypassLearned(entry)
    }
  }

  public func accepted(_ connection: borrowing RelayConnectionFacts) {
    guard settings.mode != .off, !connection.upstreamWantsClientCertificate else { return }
    let key = Self.key(connection.flow, connection.sni, connection.clientShape)
    table.withLock { table in
      // So that only refusals in a row count; what was learned or asked for stays.
      if table.count > 0, table.value(for: key)?.state == .counting { _ = table.remove(key) }
    }
  }

  /// - Parameter isProof: what the protocol itself says needs no repetition.
  private func count(_ entry: inout BypassEntry, _ reason: String, _ time: Timestamp, _ isProof: Bool) {
    if time.seconds(since: entry.lastRefusal) > settings.refusalWindowSeconds { entry.refusals = 0 }
    entry.refusals = isProof ? max(entry.refusals + 1, settings.refusalCount) : entry.refusals + 1
    entry.lastRefusal = time
    entry.reason = reason
    guard entry.refusals >= settings.refusalCount, entry.state != .awaitingApproval else { return }
    if settings.mode == .approve, case .counting = entry.state {
      entry.state = .awaitingApproval
    } else {
      // Also an entry that ran out, once it has been refused as often again.
      entry.state = .active(until: end(from: time))
      entry.refusals = 0
    }
  }

  private func end(from time: Timestamp) -> Timestamp {
    Timestamp(nanoseconds: time.nanoseconds &+ settings.bypassSeconds &* 1_000_000_000)
  }

  // MARK: For the control socket

  /// Everything learned or counted, in no order.
  public var entries: [BypassEntry] { table.withLock { $0.values } }

  /// - Returns: false where there is no such entry.
  @discardableResult
  public func approve(_ key: BypassKey, at time: Timestamp) -> Bool {
    table.withLock { table in
      guard var entry = table.value(for: key) else { return false }
      entry.state = .active(until: end(from: time))
      entry.refusals = 0
      table.set(entry, for: key)
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
  public func forget(_ key: BypassKey) -> Bool { table.withLock { $0.remove(key) != nil } }

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
    case .upstreamHandshakeFailed where connection.upstreamWantsClientCertificate:
      return ("server wants a client certificate", true)
    case .ended(.failed(.toClient, let text)) where connection.upstreamWantsClientCertificate:
      // Connections break for other reasons too, some of which are in the client's hands.
      return Self.refusals.contains(text) ? ("server wants a client certificate", true) : nil
    case .upstreamWantsClientCertificate where settings.learnsRequestedCertificates:
      return ("server asks for a client certificate", true)
    case .renegotiationRefused(.toClient):
      return ("server wants to renegotiate", true)
    default: return nil
    }
  }

  private static func key(_ flow: FlowTuple, _ sni: String?, _ shape: [UInt8]) -> BypassKey {
    BypassKey(client: flow.source, server: sni ?? "\(flow.destination) \(flow.destinationPort)", clientShape: shape)
  }
}
