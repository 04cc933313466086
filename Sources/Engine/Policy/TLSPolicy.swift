import Interception
import Synchronization
import Traffic

/// What is to be done with a TLS connection: the entries of the configuration in order, the first
/// that fits decides; without one the connection is inspected.
///
/// Replaced whole on reload; workers read it once for each connection.
public final class TLSPolicy: InterceptionPolicy {
  private let entries: Mutex<[PolicyEntry]>

  public init(_ entries: [PolicyEntry]) { self.entries = Mutex(entries) }

  func replace(_ entries: [PolicyEntry]) { self.entries.withLock { $0 = entries } }

  public func decide(_ facts: PolicyFacts) -> PolicyDecision {
    let entries = entries.withLock { $0 }
    let hello = entries.contains(where: \.needsHello) ? HelloFacts(records: facts.clientHello) : nil
    for entry in entries {
      guard let reason = entry.fit(facts, hello) else { continue }
      switch entry.action {
      case .inspect: return PolicyDecision(.inspect, reason: reason, untrustedUpstream: entry.badCertificate)
      case .tunnel: return PolicyDecision(.tunnel, reason: reason)
      case .block: return PolicyDecision(.block, reason: reason)
      }
    }
    return PolicyDecision(.inspect, reason: "no entry of the policy fits")
  }

  /// What would be decided of a connection that is only thought of, and why each entry before did not fit.
  public func explain(_ question: PolicyQuestion) -> (decision: PolicyDecision, steps: [String]) {
    let entries = entries.withLock { $0 }
    var steps: [String] = []
    let facts = question.facts
    for entry in entries {
      if entry.needsHello {
        steps.append("\(entry.origin): looks at the hello (ja3, ja4, ech), which only a real connection has")
      } else if let reason = entry.fit(facts, nil) {
        steps.append("\(reason): fits: \(entry.action.rawValue)")
        break
      } else {
        steps.append("\(entry.origin): does not fit")
      }
    }
    return (decide(facts), steps)
  }
}

/// A connection to ask the policy about.
public struct PolicyQuestion: Sendable {
  public var name: String?
  public var client = IPAddress(ipv4: 0)
  public var server = IPAddress(ipv4: 0)
  public var port: UInt16 = 443
  public var alpn: [String] = ["h2", "http/1.1"]

  public init(name: String?) { self.name = name }

  var facts: PolicyFacts {
    PolicyFacts(
      flow: FlowTuple(
        source: client, destination: server, sourcePort: 0, destinationPort: port, ipProtocol: IPProtocol.tcp),
      sni: name?.lowercased(), alpn: alpn, clientHello: [], clientShape: [], time: Timestamp(seconds: 0))
  }
}
