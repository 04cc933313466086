import Detection
import EventOutput
import Traffic

/// What `sluice eval --explain` tells of one rule's way through traffic.
public enum TraceReport {
  /// Examples of flows that are told for each reason for which the rule was not looked for.
  private static let examplesMax = 3

  public static func text(_ tracer: RuleTracer) -> String {
    let report = tracer.report, rule = tracer.explanation
    var out = "rule \(rule.gid):\(rule.sid)  \(rule.message)\n"
    var flowID: UInt64?
    for entry in report.entries {
      if flowID == nil || flowID != entry.flowID {
        out += "\n\(heading(entry))\n"
        flowID = entry.flowID
      }
      out += lines(entry).map { "  " + $0 + "\n" }.joined()
    }
    if report.entries.isEmpty { out += "\nlooked for nowhere\n" }
    out += misses(report.misses)
    if report.omitted > 0 { out += "\n\(report.omitted) more not kept\n" }
    return out
  }

  private static func heading(_ entry: RuleTracer.Entry) -> String {
    let ends = "\(entry.source) \(entry.sourcePort) -> \(entry.destination) \(entry.destinationPort)"
    return (entry.flowID.map { "flow \($0)" } ?? "packet \(entry.firstPacket)") + "  \(ends)  protocol \(entry.ipProtocol)"
  }

  private static func lines(_ entry: RuleTracer.Entry) -> [String] {
    let packets = entry.firstPacket == entry.lastPacket ? "packet \(entry.firstPacket)" : "packets \(entry.firstPacket)–\(entry.lastPacket)"
    var lines = ["\(name(entry.scope)) \(words(entry.direction)), \(packets): \(entry.result.isMatch ? "match" : "no match")"]
    lines += entry.result.held.map { "  holds  \($0)" }
    if let failure = entry.result.failure {
      let place = failure.buffer.map { "\($0): " } ?? ""
      lines.append("  fails  \(place)\(failure.step)")
      lines.append("         \(failure.reason)")
      if !failure.excerpt.isEmpty { lines.append("         it begins \"\(RuleTestText.view(failure.excerpt, countMax: 64))\"") }
    }
    return lines
  }

  private static func misses(_ misses: [RuleTracer.Miss]) -> String {
    var byReason: [String: [RuleTracer.Miss]] = [:]
    for miss in misses { byReason[miss.reason, default: []].append(miss) }
    var out = misses.isEmpty ? "" : "\nnot looked for:\n"
    for (reason, flows) in byReason.sorted(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) }) {
      out += "  \(flows.count) flow\(flows.count == 1 ? "" : "s"): \(reason)\n"
      for flow in flows.prefix(examplesMax) {
        out += "    \(flow.source) \(flow.sourcePort) -> \(flow.destination) \(flow.destinationPort), packet \(flow.firstPacket)\n"
      }
    }
    return out
  }

  static func name(_ scope: RuleTracer.Scope) -> String {
    switch scope {
    case .packet: "packet"
    case .stream: "stream"
    case .transaction(let id): "transaction \(id)"
    }
  }

  private static func words(_ direction: Direction) -> String { direction == .toServer ? "to server" : "to client" }

  // MARK: JSON

  /// A line of JSON for each entry and each flow in which the rule was not looked for.
  public static func jsonLines(_ tracer: RuleTracer) -> String {
    var writer = JSONWriter()
    let report = tracer.report
    for entry in report.entries {
      writer.beginObject()
      writer.member("sid", tracer.explanation.sid)
      writeEnds(entry.flowID, entry.source, entry.destination, entry.sourcePort, entry.destinationPort, &writer)
      writer.member("direction", text: entry.direction == .toServer ? "to_server" : "to_client")
      if case .transaction(let id) = entry.scope {
        writer.member("scope", "transaction")
        writer.member("tx_id", id)
      } else {
        writer.member("scope", text: name(entry.scope))
      }
      writer.member("first_packet", entry.firstPacket)
      writer.member("last_packet", entry.lastPacket)
      writer.member("tries", entry.tries)
      writer.member("matched", entry.result.isMatch)
      writer.strings("held", entry.result.held)
      if let failure = entry.result.failure { write(failure, &writer) }
      writer.endObject()
      writer.endLine()
    }
    for miss in report.misses {
      writer.beginObject()
      writer.member("sid", tracer.explanation.sid)
      writeEnds(miss.flowID, miss.source, miss.destination, miss.sourcePort, miss.destinationPort, &writer)
      writer.member("first_packet", miss.firstPacket)
      writer.member("not_looked_for", text: miss.reason)
      writer.endObject()
      writer.endLine()
    }
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  private static func writeEnds(
    _ flowID: UInt64?, _ source: IPAddress, _ destination: IPAddress, _ sourcePort: UInt16,
    _ destinationPort: UInt16, _ writer: inout JSONWriter
  ) {
    if let flowID { writer.member("flow_id", flowID) }
    writer.member("src_ip", text: source.description)
    writer.member("src_port", sourcePort)
    writer.member("dest_ip", text: destination.description)
    writer.member("dest_port", destinationPort)
  }

  private static func write(_ failure: RuleTracer.Failure, _ writer: inout JSONWriter) {
    writer.beginObject("failed")
    if let buffer = failure.buffer { writer.member("buffer", text: buffer) }
    writer.member("step", text: failure.step)
    writer.member("reason", text: failure.reason)
    if let offset = failure.offset { writer.member("offset", offset) }
    if let count = failure.bufferBytes { writer.member("buffer_bytes", count) }
    if !failure.excerpt.isEmpty { writer.member("excerpt", failure.excerpt) }
    writer.endObject()
  }
}
