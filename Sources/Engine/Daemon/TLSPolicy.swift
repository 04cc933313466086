import Interception
import RuleLanguage
import Synchronization
import Traffic

/// What is to be done with a TLS connection: the entries of the configuration in order, the first
/// that fits decides; without one the connection is inspected.
///
/// Replaced whole on reload; workers read it once for each connection.
final class TLSPolicy: InterceptionPolicy {
  private let entries: Mutex<[PolicyEntry]>

  init(_ entries: [PolicyEntry]) { self.entries = Mutex(entries) }

  func replace(_ entries: [PolicyEntry]) { self.entries.withLock { $0 = entries } }

  func decide(_ facts: PolicyFacts) -> PolicyDecision {
    let entries = entries.withLock { $0 }
    guard let entry = entries.first(where: { $0.fits(facts) }) else {
      return PolicyDecision(.inspect, reason: "no entry of the policy fits")
    }
    switch entry.action {
    case .inspect: return PolicyDecision(.inspect, reason: entry.origin)
    case .tunnel: return PolicyDecision(.tunnel, reason: entry.origin)
    case .block: return PolicyDecision(.block, reason: entry.origin)
    }
  }
}

extension PolicyEntry {
  func fits(_ facts: PolicyFacts) -> Bool {
    if !names.isEmpty {
      guard let sni = facts.sni?.lowercased(), names.contains(where: { Self.covers($0, sni) }) else {
        return false
      }
    }
    let server = facts.flow.destination
    let client = facts.flow.source
    if let servers, !servers.contains(high: server.high, low: server.low) { return false }
    if let clients, !clients.contains(high: client.high, low: client.low) { return false }
    if let ports, !ports.contains(facts.flow.destinationPort) { return false }
    return true
  }

  /// `example.com` covers itself and what ends in `.example.com`.
  private static func covers(_ suffix: String, _ name: String) -> Bool {
    name == suffix || name.hasSuffix("." + suffix)
  }
}
