import Detection
import EventOutput
import RuleLanguage

extension RuleExplanation {
  /// What `sluice rules explain` prints for a person.
  public var printed: String {
    var lines = ["\(gid):\(sid) rev \(rev)  \(action.rawValue)  \(message)", "  at          \(location)"]
    lines.append("  type        \(kind.rawValue)")
    lines.append("  header      \(headerText)")
    if !appProtocols.isEmpty { lines.append("  protocols   \(appProtocols.joined(separator: ", "))") }
    if let hook { lines.append("  hook        \(protocolName):\(hook)") }
    lines.append("  direction   \(directions.joined(separator: " and "))")
    if !flow.isEmpty { lines.append("  flow        \(flow.joined(separator: ", "))") }
    for condition in conditions + transactionConditions { lines.append("  condition   \(condition)") }
    for buffer in buffers { lines += Self.lines(buffer) }
    for (traffic, group) in Self.joined(groups) { lines += Self.lines(group, traffic) }
    for literal in otherLiterals {
      lines.append("  not chosen  \(literal.buffer): \(literal.text) (score \(literal.score))")
    }
    for text in reads { lines.append("  depends on  \(text)") }
    for text in writes { lines.append("  sets        \(text)") }
    if let threshold { lines.append("  threshold   \(threshold)") }
    if suppressions > 0 { lines.append("  suppressed  by \(suppressions) line\(suppressions == 1 ? "" : "s") of the threshold file") }
    lines.append("  priority    \(priority)")
    lines.append("  effect      \(effect)")
    return lines.joined(separator: "\n") + "\n"
  }

  private var headerText: String {
    "\(protocolName) \(source.addresses) \(source.ports) \(arrow) \(destination.addresses) \(destination.ports)"
  }

  private static func lines(_ buffer: Buffer) -> [String] {
    var lines = ["  buffer      \(buffer.name)" + (buffer.isMultiple ? ", each by itself" : "") + (buffer.isStreaming ? ", as it grows" : "")]
    if !buffer.sources.isEmpty { lines.append("                from \(buffer.sources.joined(separator: "; "))") }
    for transform in buffer.transforms { lines.append("                transform \(transform)") }
    if let absence = buffer.absence { lines.append("                \(absence)") }
    for step in buffer.steps { lines.append("                \(step)") }
    for step in buffer.nested { lines.append("                decoded: \(step)") }
    return lines
  }

  /// Groups that differ in their traffic alone, told together.
  private static func joined(_ groups: [Group]) -> [(traffic: [String], group: Group)] {
    var joined: [(traffic: [String], group: Group)] = []
    for group in groups {
      let known = joined.firstIndex {
        $0.group.lookup == group.lookup && $0.group.fastPattern?.bytes == group.fastPattern?.bytes
          && $0.group.fastPattern?.buffer == group.fastPattern?.buffer
      }
      if let known { joined[known].traffic.append(group.traffic) } else { joined.append(([group.traffic], group)) }
    }
    return joined
  }

  private static func lines(_ group: Group, _ traffic: [String]) -> [String] {
    var lines = traffic.enumerated().map { ($0 == 0 ? "  tried on    " : "              ") + $1 }
    lines.append("                \(group.lookup)")
    if let literal = group.fastPattern {
      lines.append("                fast pattern \(literal.buffer): \"\(OctetText.quoted(literal.bytes))\"\(literal.placeText)")
      if let reason = group.reason { lines.append("                because \(reason)") }
    }
    return lines
  }

  // MARK: JSON

  public var json: String {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("sid", sid)
    writer.member("gid", gid)
    writer.member("rev", rev)
    writer.member("action", text: action.rawValue)
    writer.member("msg", text: message)
    writer.member("priority", priority)
    writer.member("file", text: location.file)
    writer.member("line", location.line)
    writer.member("type", text: kind.rawValue)
    writer.beginObject("header")
    writer.member("protocol", text: protocolName)
    if let hook { writer.member("hook", text: hook) }
    writer.member("source", text: source.addresses)
    writer.member("source_ports", text: source.ports)
    writer.member("arrow", text: arrow)
    writer.member("destination", text: destination.addresses)
    writer.member("destination_ports", text: destination.ports)
    writer.strings("app_protocols", appProtocols)
    writer.endObject()
    writer.strings("directions", directions)
    writer.strings("flow", flow)
    writer.strings("conditions", conditions)
    writer.strings("transaction_conditions", transactionConditions)
    writer.beginArray("buffers")
    for buffer in buffers { Self.write(buffer, &writer) }
    writer.endArray()
    writer.beginArray("groups")
    for group in groups { Self.write(group, &writer) }
    writer.endArray()
    writer.beginArray("other_literals")
    for literal in otherLiterals { Self.write(literal, &writer) }
    writer.endArray()
    writer.strings("depends_on", reads)
    writer.strings("sets", writes)
    if let threshold { writer.member("threshold", text: threshold) }
    writer.member("suppressions", suppressions)
    writer.member("silent", isSilent)
    writer.member("effect", text: effect)
    writer.member("rule", text: text)
    writer.endObject()
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  private static func write(_ buffer: Buffer, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("name", text: buffer.name)
    writer.strings("sources", buffer.sources)
    writer.member("multiple", buffer.isMultiple)
    writer.member("streaming", buffer.isStreaming)
    writer.strings("transforms", buffer.transforms)
    if let absence = buffer.absence { writer.member("absence", text: absence) }
    writer.strings("steps", buffer.steps)
    if !buffer.nested.isEmpty { writer.strings("decoded_steps", buffer.nested) }
    writer.endObject()
  }

  private static func write(_ group: Group, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("traffic", text: group.traffic)
    writer.member("lookup", text: group.lookup)
    if let literal = group.fastPattern {
      writer.key("fast_pattern")
      write(literal, &writer)
    }
    if let reason = group.reason { writer.member("reason", text: reason) }
    writer.endObject()
  }

  private static func write(_ literal: Literal, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("buffer", text: literal.buffer)
    writer.member("text", text: literal.text)
    writer.member("literal", text: OctetText.quoted(literal.bytes))
    writer.member("nocase", literal.isCaseInsensitive)
    writer.member("requested", literal.isRequested)
    writer.member("score", literal.score)
    if let end = literal.endMin { writer.member("end_min", end) }
    if let end = literal.endMax { writer.member("end_max", end) }
    writer.member("at_end", literal.isAtEnd)
    writer.endObject()
  }
}

extension RuleExplanation.Literal {
  /// Where a hit must lie to count.
  fileprivate var placeText: String {
    var parts: [String] = isCaseInsensitive ? ["in either case"] : []
    let length = UInt32(clamping: bytes.count)
    switch (endMin, endMax) {
    case (let low?, let high?) where low == high: parts.append("at offset \(low &- min(length, low))")
    case (let low?, let high?): parts.append("from offset \(low &- min(length, low)), ending by \(high)")
    case (let low?, nil): parts.append("from offset \(low &- min(length, low))")
    case (nil, let high?): parts.append("ending by offset \(high)")
    case (nil, nil): break
    }
    if isAtEnd { parts.append("at the end") }
    return parts.isEmpty ? "" : ", " + parts.joined(separator: ", ")
  }
}
