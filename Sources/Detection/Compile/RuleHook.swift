import AppLayer
import RuleLanguage
import Traffic

/// The point in traffic at which a rule is tried, named behind its protocol: `http1:request_headers`.
///
/// - Source: Suricata 8 "Rules Format", protocol hooks; its names of the states of each protocol.
enum RuleHook {
  static func read(
    _ name: String, _ protocolName: String, _ reader: inout RuleReader
  ) throws(RuleValueError) {
    guard !reader.draft.head.appProtocols.isAny else {
      switch name {
      case "all": return
      case "flow_start":
        reader.needsPacket = true
        return reader.add(.flowStart)
      default:
        throw RuleValueError("\(protocolName) has no hook \(name), or it is not supported")
      }
    }
    guard let hook = named(name, of: protocolName) else {
      throw RuleValueError("\(protocolName) has no hook \(name), or it is not supported")
    }
    set(hook, &reader)
  }

  /// The state of a protocol's transactions that goes by this name.
  static func named(_ name: String, of protocolName: String) -> TransactionHook? {
    isTLS(protocolName) ? tlsHook(name) : hooks(protocolName)[name]
  }

  /// Makes the rule wait for that state.
  static func set(_ hook: TransactionHook, _ reader: inout RuleReader) {
    reader.draft.head.flow.insert(hook.direction == .toServer ? .toServer : .toClient)
    reader.draft.hook = hook
    reader.draft.transactionConditions.append(
      .progress(hook.direction, hook.progress, isNegated: false))
  }

  private static func isTLS(_ protocolName: String) -> Bool { protocolName == "tls" || protocolName == "ssl" }

  private static func tlsHook(_ name: String) -> TransactionHook? {
    TLSProgress.named(name).map { TransactionHook(direction: $0.direction, progress: $0.progress) }
  }

  private static func hooks(_ protocolName: String) -> [String: TransactionHook] {
    var result: [String: TransactionHook] = [:]
    func add(_ direction: Direction, _ states: [(String, Int)]) {
      for (name, progress) in states { result[name] = TransactionHook(direction: direction, progress: progress) }
    }
    switch protocolName {
    case "http1", "http":
      for (direction, side) in [(Direction.toServer, "request"), (.toClient, "response")] {
        add(
          direction,
          [
            ("\(side)_started", HTTPProgress.notStarted), ("\(side)_line", HTTPProgress.line),
            ("\(side)_headers", HTTPProgress.headers), ("\(side)_body", HTTPProgress.body),
            ("\(side)_trailer", HTTPProgress.trailer), ("\(side)_complete", HTTPProgress.complete),
          ])
      }
    case "sip":
      add(.toServer, [("request_started", 0), ("request_complete", 2)])
      add(.toClient, [("response_started", 0), ("response_complete", 2)])
    case "ssh":
      for (direction, side) in [(Direction.toServer, "request"), (.toClient, "response")] {
        add(
          direction,
          [
            ("\(side)_started", 0), ("\(side)_banner_done", SSHProgress.banner),
            ("\(side)_finished", SSHProgress.complete), ("\(side)_complete", SSHProgress.complete),
          ])
      }
    case "dns", "mdns", "ftp", "pop3", "dhcp", "ntp", "tftp":
      add(.toServer, [("request_started", 0), ("request_complete", 1)])
      add(.toClient, [("response_started", 0), ("response_complete", 1)])
    default: break
    }
    return result
  }
}

/// A state of a transaction that a rule waits for.
struct TransactionHook: Sendable {
  var direction: Direction
  var progress: Int
}
