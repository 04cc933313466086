import AppLayer
import Detection
import Inspection
import PacketDecoding
import Traffic

extension EVEWriter {
  /// - Source: Suricata 8, EVE JSON format, "Event type: Alert".
  func write(
    _ event: AlertEvent, _ settings: EVESettings.Alert, _ context: borrowing EventContext,
    _ bytes: RawSpan
  ) {
    let forwarded = settings.forwardedFor?.address(event.transaction, context.appLayer)
    header.forwardedFor = settings.forwardedFor?.mode == .overwrite ? forwarded : nil
    begin("alert", context, .packet, bytes)
    header.forwardedFor = nil
    if let id = event.alert.transactionID { json.member("tx_id", id) }
    if let tunnel = context.tunnel { write(tunnel, depth: context.packet.tunnelDepth) }
    json.key("alert")
    writeAlert(event, settings, context, forwarded)
    if settings.logsAppLayer, let transaction = event.transaction {
      writeProgress(transaction)
      writeInside(transaction, of: settings)
      writeFiles(event)
    }
    writeAppProtocol(context)
    writeDirection(context)
    if settings.logsFlow, let flow = EVEHeader.oriented(context) { writeFlowSummary(flow) }
    if let matched = event.alert.frame { write(matched.frame, settings) }
    writePayload(event, settings, context, bytes)
    if settings.logsVerdict { writeVerdict(event.verdict) }
    writeMetadata(context.flow, event.alert.captures)
    end(context.decryption)
  }

  /// The outermost packet around the one that the record is about.
  private func write(_ tunnel: TunnelRecord, depth: UInt8) {
    json.beginObject("tunnel")
    EVEHeader.member("src_ip", tunnel.ends.source, into: &json)
    json.member("src_port", tunnel.hasPorts ? tunnel.ends.sourcePort : 0)
    EVEHeader.member("dest_ip", tunnel.ends.destination, into: &json)
    json.member("dest_port", tunnel.hasPorts ? tunnel.ends.destinationPort : 0)
    json.key("proto")
    EVEHeader.writeProtocol(tunnel.ends.ipProtocol, into: &json)
    json.member("depth", depth)
    if tunnel.packetNumber > 0 { json.member("pcap_cnt", tunnel.packetNumber) }
    json.member("pkt_src", "wire/pcap")
    json.endObject()
  }

  private func writeAlert(
    _ event: AlertEvent, _ settings: EVESettings.Alert, _ context: borrowing EventContext,
    _ forwarded: IPAddress?
  ) {
    json.beginObject()
    json.member("action", event.alert.isBlocked ? "blocked" : "allowed")
    json.prepared(ruleText(event.rule, settings))
    if let target = event.rule.target, let tuple = EVEHeader.tuple(context, .packet) {
      writeTarget(target, tuple)
    }
    writeContext(event.alert.captures)
    if let forwarded { EVEHeader.member("xff", forwarded, into: &json) }
    json.endObject()
  }

  /// How far each side of the transaction has come, by the names that rule hooks have.
  private func writeProgress(_ transaction: Transaction) {
    for (key, direction) in [("ts_progress", .toServer), ("tc_progress", .toClient)]
      as [(StaticString, Direction)]
    {
      let progress = transaction.progress(direction)
      let name: String? =
        switch transaction.appProtocol {
        case .http: HTTPProgress.name(progress, direction)
        case .tls: TLSProgress.name(progress, direction)
        default: nil
        }
      if let name { json.member(key, text: name) }
    }
  }

  /// Which end attacked and which was attacked (`target` keyword).
  private func writeTarget(_ target: RuleInfo.Target, _ tuple: FlowTuple) {
    let attacked = target == .source ? tuple : tuple.reversed
    json.beginObject("source")
    EVEHeader.member("ip", attacked.destination, into: &json)
    json.member("port", attacked.destinationPort)
    json.endObject()
    json.beginObject("target")
    EVEHeader.member("ip", attacked.source, into: &json)
    json.member("port", attacked.sourcePort)
    json.endObject()
  }

  /// The members of `alert` that say which rule it is.
  private static func identity(of rule: RuleInfo) -> JSONWriter {
    var text = JSONWriter(capacity: 512)
    text.member("gid", rule.gid)
    text.member("signature_id", rule.sid)
    text.member("rev", rule.rev)
    text.member("signature", text: rule.message)
    text.member("category", text: rule.classDescription)
    text.member("severity", rule.priority)
    return text
  }

  /// The members of `alert` that depend on the rule alone.
  private func ruleText(_ rule: RuleInfo, _ settings: EVESettings.Alert) -> [UInt8] {
    let key = RuleKey(gid: rule.gid, sid: rule.sid, rev: rule.rev)
    if let known = ruleTexts[key] { return known }
    var text = Self.identity(of: rule)
    if settings.logsRuleMetadata { writeRuleMetadata(rule, into: &text) }
    if settings.logsReferences, !rule.references.isEmpty {
      text.beginArray("references")
      for reference in rule.references { text.string(text: settings.link(reference)) }
      text.endArray()
    }
    if settings.logsRuleText { text.member("rule", text: rule.originalText) }
    ruleTexts[key] = text.bytes
    return text.bytes
  }

  /// Values by key, each key once.
  private func writeRuleMetadata(_ rule: RuleInfo, into text: inout JSONWriter) {
    let pairs = rule.metadata
    guard !pairs.isEmpty else { return }
    var done: Set<String> = []
    text.beginObject("metadata")
    for (key, _) in pairs where !done.contains(key) {
      done.insert(key)
      text.key(text: Array(key.utf8))
      text.beginArray()
      for (other, value) in pairs where other == key { text.string(text: value) }
      text.endArray()
    }
    text.endObject()
  }

  /// - Source: Suricata 8, EVE JSON format, "Event type: Frame".
  private func write(_ frame: AppFrame, _ settings: EVESettings.Alert) {
    json.beginObject("frame")
    json.member("type", text: frame.kind.name)
    json.member("id", frame.id)
    json.member("direction", frame.direction == .toServer ? "toserver" : "toclient")
    json.member("length", frame.count)
    json.member("complete", frame.isComplete)
    if let id = frame.transactionID { json.member("tx_id", id) }
    let payload = Array(frame.bytes.prefix(settings.payloadOctetsMax))
    json.key("payload")
    json.string { JSONText.appendBase64(payload.rawSpan, to: &$0) }
    json.key("payload_printable")
    json.string { JSONText.appendPrintable(payload.rawSpan, to: &$0) }
    json.endObject()
  }

  private func writeFiles(_ event: AlertEvent) {
    guard let transaction = event.transaction else { return }
    let files = transaction.files(event.alert.direction)
    guard !files.isEmpty else { return }
    json.beginArray("files")
    for file in files {
      json.beginObject()
      FileInfoRecord.write(file, transactionID: transaction.id, into: &json)
      json.endObject()
    }
    json.endArray()
  }

  private func writePayload(
    _ event: AlertEvent, _ settings: EVESettings.Alert, _ context: borrowing EventContext,
    _ bytes: RawSpan
  ) {
    let payload = event.payload.prefix(settings.payloadOctetsMax)
    if !payload.isEmpty {
      if settings.logsPayload {
        json.key("payload")
        json.string { JSONText.appendBase64(Array(payload).rawSpan, to: &$0) }
      }
      if settings.logsPrintablePayload {
        json.key("payload_printable")
        json.string { JSONText.appendPrintable(Array(payload).rawSpan, to: &$0) }
      }
    }
    if settings.logsPayloadLength { json.member("payload_length", event.payload.count) }
    if settings.logsPayload || settings.logsPrintablePayload || settings.logsPayloadLength {
      json.member("stream", payload.isEmpty || event.alert.source == .packet ? 0 : 1)
    }
    if settings.logsPacket, bytes.byteCount > 0 { writePacket(context, bytes) }
  }

  /// - Source: Suricata "Tag": event type `packet`.
  func writeTaggedPacket(_ context: borrowing EventContext, _ bytes: RawSpan) {
    begin("packet", context, .packet, bytes)
    writePacket(context, bytes)
    end(context.decryption)
  }

  func writePacket(_ context: borrowing EventContext, _ bytes: RawSpan) {
    json.key("packet")
    json.string { JSONText.appendBase64(bytes, to: &$0) }
    json.beginObject("packet_info")
    json.member("linktype", context.packet.linkType.rawValue)
    if let name = context.packet.linkType.libraryName {
      json.member("linktype_name", text: name)
    }
    json.endObject()
  }

  /// What the rule captured for the alert alone, and what datasets know of the values found.
  private func writeContext(_ captures: [PayloadCapture]) {
    guard captures.contains(where: { $0.scope == .alert || $0.scope == .context }) else { return }
    json.beginObject("context")
    for capture in captures {
      switch capture.scope {
      case .alert:
        json.key(text: Array(capture.name.utf8))
        json.string(capture.bytes)
      case .context:
        json.key(text: Array(capture.name.utf8))
        json.prepared(capture.bytes)
      case .flow, .packet, .entropy: continue
      }
    }
    json.endObject()
  }

  func writeVerdict(_ verdict: VerdictRecord) {
    json.beginObject("verdict")
    json.member("action", text: verdict.action)
    if let target = verdict.rejectTarget { json.member("reject-target", text: target) }
    if !verdict.rejects.isEmpty {
      json.beginArray("reject")
      for reject in verdict.rejects { json.string(text: reject) }
      json.endArray()
    }
    json.endObject()
  }

  func writeFlowSummary(_ flow: FlowRecord) {
    json.beginObject("flow")
    json.member("pkts_toserver", flow.toServer.packets)
    json.member("pkts_toclient", flow.toClient.packets)
    json.member("bytes_toserver", flow.toServer.bytes)
    json.member("bytes_toclient", flow.toClient.bytes)
    json.key("start")
    json.string { header.timestamps.append(flow.start, to: &$0) }
    EVEHeader.member("src_ip", flow.tuple.source, into: &json)
    EVEHeader.member("dest_ip", flow.tuple.destination, into: &json)
    if flow.tuple.ipProtocol == IPProtocol.tcp || flow.tuple.ipProtocol == IPProtocol.udp
      || flow.tuple.ipProtocol == IPProtocol.sctp
    {
      json.member("src_port", flow.tuple.sourcePort)
      json.member("dest_port", flow.tuple.destinationPort)
    }
    json.endObject()
  }

  // MARK: Drops

  /// - Source: Suricata 8, EVE JSON format, "Event type: Drop".
  func write(
    _ event: DropEvent, _ settings: EVESettings.Drop, _ context: borrowing EventContext,
    _ bytes: RawSpan
  ) {
    begin("drop", context, .packet, bytes)
    writeDirection(context)
    json.beginObject("drop")
    DropRecord.writeHeaders(context.packet, bytes, into: &json)
    json.member("reason", text: event.reason)
    json.endObject()
    if settings.logsAlerts, let rule = event.rule {
      if let id = event.transactionID { json.member("tx_id", id) }
      json.beginObject("alert")
      json.member("action", "blocked")
      // Metadata, references and the text of the rule stand in its alert.
      json.prepared(Self.identity(of: rule).bytes)
      json.endObject()
    }
    if settings.logsVerdict { writeVerdict(event.verdict) }
    close(context)
  }
}

extension LinkType {
  /// The name that libpcap has for it.
  var libraryName: String? {
    switch self {
    case .null: "NULL"
    case .ethernet: "EN10MB"
    case .ppp: "PPP"
    case .raw, .rawBSD, .rawOpenBSD: "RAW"
    case .pppHDLC: "PPP_SERIAL"
    case .loop: "LOOP"
    case .linuxCooked: "LINUX_SLL"
    case .linuxCookedV2: "LINUX_SLL2"
    case .ipv4: "IPV4"
    case .ipv6: "IPV6"
    default: nil
    }
  }
}
