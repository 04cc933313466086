import AppLayer
import Engine
import Inspection
import Traffic

/// Answers about flows, a line each.
enum FlowAnswers {
  /// Flows told at once; a shorter list comes from naming an end.
  private static let countMax = 10_000

  static func flows(_ daemon: Daemon, _ words: [String]) -> ControlAnswer {
    answer(words.isEmpty ? ["all"] : words) { (selector) throws(ControlError) in
      let flows = daemon.flows(countMax: countMax) { selector.fits($0) }
        .sorted { $0.toServer.bytes &+ $0.toClient.bytes > $1.toServer.bytes &+ $1.toClient.bytes }
      return flows.map(line).joined(separator: "\n")
    }
  }

  static func explain(_ daemon: Daemon, _ words: [String]) -> ControlAnswer {
    answer(words) { (selector) throws(ControlError) in
      let flows = daemon.explain(countMax: 50) { selector.fits($0) }
      let stage = daemon.stageJournal { selector.fits($0) }
      guard !flows.isEmpty || !stage.isEmpty else { throw ControlError(message: "no flow of now or of late fits") }
      let packets = flows.map { flow in
        ([line(flow.record) + (flow.isPast ? " (over here)" : "")] + facts(flow.record)
          + flow.journal.entries.map { "  \(clock($0.time)) \($0.text)" }
          + (flow.journal.lostCount > 0 ? ["  … and \(flow.journal.lostCount) more of the same kinds"] : []))
          .joined(separator: "\n")
      }
      return (packets + stage).joined(separator: "\n")
    }
  }

  static func release(_ daemon: Daemon, _ words: [String]) -> ControlAnswer {
    answer(words) { (selector) throws(ControlError) in
      "released: \(daemon.release { selector.fits($0) }) flows, each with its next packet"
    }
  }

  static func recall(_ daemon: Daemon, _ words: [String]) -> ControlAnswer {
    answer(words) { (selector) throws(ControlError) in "called back: \(daemon.recall { selector.fits($0) }) flows" }
  }

  private static func answer(
    _ words: [String], _ body: (FlowSelector) throws(ControlError) -> String
  ) -> ControlAnswer {
    do throws(ControlError) {
      return ControlAnswer(isDone: true, text: try body(try FlowSelector(words)))
    } catch {
      return ControlAnswer(isDone: false, text: error.message)
    }
  }

  // MARK: Words

  /// `ID PROTOCOL CLIENT -> SERVER APP STATE packets/bytes to server, to client`.
  private static func line(_ flow: FlowRecord) -> String {
    let tuple = flow.tuple
    var words = [
      String(flow.id), transport(tuple.ipProtocol), end(tuple.source, tuple.sourcePort), "->",
      end(tuple.destination, tuple.destinationPort),
      flow.appProtocol == .unknown ? "-" : flow.appProtocol.name,
      flow.released == nil || flow.state != "bypassed" ? flow.state : "released",
      "out=\(flow.toServer.packets)/\(flow.toServer.bytes)", "in=\(flow.toClient.packets)/\(flow.toClient.bytes)",
    ]
    if !flow.action.isEmpty { words.append("action=\(flow.action)") }
    if let released = flow.released { words.append("release=\(released.rawValue)") }
    if flow.hasAlerted { words.append("alerted") }
    return words.joined(separator: " ")
  }

  private static func facts(_ flow: FlowRecord) -> [String] {
    var facts = ["  began \(clock(flow.start)), last seen \(clock(flow.last))"]
    if flow.isMidstream { facts.append("  its beginning was not seen") }
    if flow.hasGap.toServer || flow.hasGap.toClient { facts.append("  octets are missing in the stream") }
    if !flow.flowBits.isEmpty { facts.append("  flowbits: " + flow.flowBits.joined(separator: ", ")) }
    for use in flow.exceptionPolicies { facts.append("  exception policy \(use.target): \(use.policy)") }
    return facts
  }

  private static func transport(_ number: UInt8) -> String {
    switch number {
    case IPProtocol.tcp: "tcp"
    case IPProtocol.udp: "udp"
    case IPProtocol.icmp: "icmp"
    case IPProtocol.icmpv6: "icmpv6"
    default: "ip-\(number)"
    }
  }

  private static func end(_ address: IPAddress, _ port: UInt16) -> String {
    address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
  }

  /// Time of day in UTC.
  private static func clock(_ time: Timestamp) -> String {
    let second = ((time.seconds % 86_400) + 86_400) % 86_400
    func two(_ number: Int64) -> String { (number < 10 ? "0" : "") + String(number) }
    let milli = (time.nanoseconds / 1_000_000) % 1000
    let text = String(abs(milli))
    return "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60))."
      + String(repeating: "0", count: max(0, 3 - text.count)) + text
  }
}
