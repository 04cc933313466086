import AppLayer
import Detection
import Inspection
import PacketDecoding
import Traffic

extension EVEWriter {
  /// - Source: Suricata 8, EVE JSON format, "Event type: Flow".
  func writeFlow(_ context: borrowing EventContext) {
    guard let flow = EVEHeader.oriented(context) else { return }
    begin("flow", context, .flow, RawSpan(), hasPacket: false)
    writeAppProtocol(context, isOver: true)
    json.beginObject("flow")
    json.member("pkts_toserver", flow.toServer.packets)
    json.member("pkts_toclient", flow.toClient.packets)
    json.member("bytes_toserver", flow.toServer.bytes)
    json.member("bytes_toclient", flow.toClient.bytes)
    json.key("start")
    json.string { header.timestamps.append(flow.start, to: &$0) }
    json.key("end")
    json.string { header.timestamps.append(flow.last, to: &$0) }
    json.member("age", max(0, flow.last.seconds - flow.start.seconds))
    json.member("state", text: flow.state)
    if !flow.reason.isEmpty { json.member("reason", text: flow.reason) }
    if flow.transactionCount > 0 { json.member("tx_cnt", flow.transactionCount) }
    json.member("alerted", flow.hasAlerted)
    if flow.isElephant.toServer || flow.isElephant.toClient {
      json.member("elephant", true)
      json.beginArray("elephant_direction")
      if flow.isElephant.toServer { json.string("toserver") }
      if flow.isElephant.toClient { json.string("toclient") }
      json.endArray()
    }
    if !flow.action.isEmpty { json.member("action", text: flow.action) }
    if let released = flow.released {
      json.member("bypass", text: "capture")
      json.member("bypass_reason", text: released.rawValue)
    }
    if let bypassed = flow.bypassed {
      json.beginObject("bypassed")
      json.member("pkts_toserver", bypassed.toServer.packets)
      json.member("pkts_toclient", bypassed.toClient.packets)
      json.member("bytes_toserver", bypassed.toServer.bytes)
      json.member("bytes_toclient", bypassed.toClient.bytes)
      json.endObject()
    }
    writePolicies(flow.exceptionPolicies)
    json.endObject()
    writeMetadata(flow, [])
    if flow.tuple.ipProtocol == IPProtocol.tcp { writeTCP(flow) }
    end(context.decryption)
  }

  /// Each direction in which packets went.
  /// - Source: Suricata 8, EVE JSON format, "Event type: Netflow".
  func writeNetflow(_ context: borrowing EventContext) {
    guard let flow = EVEHeader.oriented(context) else { return }
    for direction in Direction.allCases {
      let side = direction == .toServer ? flow.toServer : flow.toClient
      guard side.packets > 0 else { continue }
      begin("netflow", context, .direction(direction), RawSpan(), hasPacket: false)
      if flow.appProtocol == .unknown {
        json.member("app_proto", "unknown")
      } else {
        writeAppProtocol(context)
      }
      json.beginObject("netflow")
      json.member("pkts", side.packets)
      json.member("bytes", side.bytes)
      json.key("start")
      json.string { header.timestamps.append(flow.start, to: &$0) }
      json.key("end")
      json.string { header.timestamps.append(flow.last, to: &$0) }
      json.member("age", max(0, flow.last.seconds - flow.start.seconds))
      json.member("min_ttl", side.timeToLiveMin)
      json.member("max_ttl", side.timeToLiveMax)
      if flow.transactionCount > 0 { json.member("tx_cnt", flow.transactionCount) }
      json.endObject()
      writeMetadata(flow, [])
      if flow.tuple.ipProtocol == IPProtocol.tcp {
        json.beginObject("tcp")
        json.key("tcp_flags")
        json.string { JSONText.appendHex(side.tcpFlags, to: &$0) }
        writeFlags(side.tcpFlags)
        json.endObject()
      }
      end(context.decryption)
    }
  }

  private func writePolicies(_ uses: [ExceptionPolicyUse]) {
    guard !uses.isEmpty else { return }
    json.beginArray("exception_policy")
    for use in uses {
      json.beginObject()
      json.member("target", text: use.target)
      json.member("policy", text: use.policy)
      json.endObject()
    }
    json.endArray()
  }

  private func writeTCP(_ flow: FlowRecord) {
    let both = flow.toServer.tcpFlags | flow.toClient.tcpFlags
    json.beginObject("tcp")
    for (key, flags) in [
      ("tcp_flags", both), ("tcp_flags_ts", flow.toServer.tcpFlags),
      ("tcp_flags_tc", flow.toClient.tcpFlags),
    ] as [(StaticString, UInt8)] {
      json.key(key)
      json.string { JSONText.appendHex(flags, to: &$0) }
    }
    writeFlags(both)
    if !flow.tcpState.isEmpty { json.member("state", text: flow.tcpState) }
    if flow.hasGap.toServer { json.member("ts_gap", true) }
    if flow.hasGap.toClient { json.member("tc_gap", true) }
    if flow.outOfBand.toServer > 0 { json.member("ts_urgent_oob_data", flow.outOfBand.toServer) }
    if flow.outOfBand.toClient > 0 { json.member("tc_urgent_oob_data", flow.outOfBand.toClient) }
    // Streams are held in one piece here, whatever their holes.
    if !flow.tcpState.isEmpty {
      json.member("ts_max_regions", 1)
      json.member("tc_max_regions", 1)
    }
    json.endObject()
  }

  private func writeFlags(_ flags: UInt8) {
    for (key, flag) in [
      ("syn", TCPFields.syn), ("fin", TCPFields.fin), ("rst", TCPFields.rst),
      ("psh", TCPFields.psh), ("ack", TCPFields.ack), ("urg", TCPFields.urg),
      ("ecn", TCPFields.ece), ("cwr", TCPFields.cwr),
    ] as [(StaticString, UInt8)] where flags & flag != 0 {
      json.member(key, true)
    }
  }

  // MARK: Anomalies

  /// - Source: Suricata 8, EVE JSON format, "Event type: Anomaly".
  func write(
    _ event: AnomalyEvent, _ settings: EVESettings.Anomaly, _ context: borrowing EventContext,
    _ bytes: RawSpan
  ) {
    switch event.kind {
    case .decode where !settings.logsDecode, .stream where !settings.logsStream,
      .applayer where !settings.logsAppLayer:
      return
    case .decode, .stream, .applayer: begin("anomaly", context, .packet, bytes)
    }
    if let id = event.transactionID { json.member("tx_id", id) }
    json.beginObject("anomaly")
    if let appProtocol = event.appProtocol, appProtocol != .unknown {
      json.member("app_proto", text: appProtocol.name)
    }
    json.member("type", text: event.kind.rawValue)
    json.member("event", text: Self.name(event))
    if let layer = event.layer { json.member("layer", text: layer) }
    json.endObject()
    writeMetadata(context.flow, [])
    if settings.logsPacketHeaders, event.kind != .applayer, bytes.byteCount > 0 {
      writePacket(context, bytes.extracting(first: max(0, Int(context.packet.payloadOffset))))
    }
    end(context.decryption)
  }

  /// Suricata spells the events of protocols whose parser is old in capitals.
  private static func name(_ event: AnomalyEvent) -> String {
    guard event.kind == .applayer else { return event.name }
    if event.layer == "proto_detect" { return event.name.uppercased() }
    switch event.appProtocol {
    case .http, .tls, .smtp: return event.name.uppercased()
    default: return event.name
    }
  }

  // MARK: Sluice's own

  /// A rule has gone past its budget with the packet in hand.
  func write(_ record: RuleExcessRecord, _ context: borrowing EventContext) {
    begin("sluice", context, .flow, RawSpan())
    json.beginObject("sluice")
    json.member("step", "rule-budget")
    json.member("reason", text: record.reason)
    json.member("outcome", text: record.outcome)
    json.member("gid", record.gid)
    json.member("signature_id", record.sid)
    json.member("rev", record.rev)
    json.member("signature", text: record.message)
    json.member("checks", record.checks)
    json.member("time_ns", record.nanoseconds)
    json.endObject()
    end(nil)
  }

  func write(_ record: InterceptionRecord, _ context: borrowing EventContext) {
    begin("sluice", context, .flow, RawSpan())
    json.beginObject("sluice")
    json.member("step", text: record.step)
    json.member("reason", text: record.reason)
    for (name, value) in record.facts {
      json.key(text: Array(name.utf8))
      json.string(text: value)
    }
    json.endObject()
    end(nil)
  }
}
