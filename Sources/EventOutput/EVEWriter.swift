import AppLayer
import Detection
import Inspection
import PacketDecoding
import Traffic

/// Where lines go: a file, a socket, memory.
public protocol LineOutput: AnyObject {
  /// - Parameter lines: whole lines, each with its line feed.
  func write(_ lines: RawSpan)
}

/// Writes events as EVE JSON, one line each.
///
/// Lines are gathered and handed over when there are `flushOctets` of them, or on ``flush()``.
/// - Source: Suricata 8, EVE JSON format.
public final class EVEWriter: EventSink {
  public let settings: EVESettings
  let output: any LineOutput
  /// Where files go that are to be stored; nil where there is no such place.
  let fileOutput: (any FileOutput)?
  var json = JSONWriter(capacity: 1 << 17)
  var header: EVEHeader
  /// What each rule says in each of its alerts, written once.
  var ruleTexts: [RuleKey: [UInt8]] = [:]
  /// Lines written, for statistics.
  public private(set) var lineCount: UInt64 = 0

  public static let flushOctets = 1 << 16

  struct RuleKey: Hashable {
    var gid: UInt32
    var sid: UInt32
    var rev: UInt32
  }

  public init(
    settings: EVESettings = EVESettings(), output: any LineOutput, files: (any FileOutput)? = nil
  ) {
    self.settings = settings
    self.output = output
    fileOutput = files
    header = EVEHeader(settings)
  }

  public func emit(_ event: Event, _ context: borrowing EventContext, bytes: RawSpan) {
    switch event {
    case .alert(let alert):
      if let settings = settings.alert { write(alert, settings, context, bytes) }
    case .drop(let drop):
      if let settings = settings.drop { write(drop, settings, context, bytes) }
    case .transaction(let transaction, let direction):
      write(transaction, direction, context, bytes)
    case .fileContent(let file, _): store(file)
    case .file(let file, let transaction): write(file, transaction, context, bytes)
    case .anomaly(let anomaly):
      if let settings = settings.anomaly { write(anomaly, settings, context, bytes) }
    case .arp:
      if settings.logsARP { writeARP(context, bytes) }
    case .flow:
      if settings.logsFlow { writeFlow(context) }
      if settings.logsNetflow { writeNetflow(context) }
    case .taggedPacket:
      if settings.alert?.logsTaggedPackets == true { writeTaggedPacket(context, bytes) }
    case .interception(let record):
      if settings.logsInterception { write(record, context) }
    case .ruleExcess(let record):
      if settings.logsInterception { write(record, context) }
    }
  }

  /// Hands over what has been gathered.
  public func flush() {
    guard !json.bytes.isEmpty else { return }
    do {
      let bytes = json.bytes
      output.write(bytes.rawSpan)
    }
    json.removeAll()
  }

  /// A new rule set is in force: the same number may stand for another text.
  public func forgetRules() { ruleTexts.removeAll() }

  /// - Parameters:
  ///   - counters: those whose names begin with `sluice.` have no counterpart in Suricata and stand in
  ///     the record's own `sluice` object.
  ///   - time: when the counters were read.
  public func writeStats(
    _ counters: [(name: String, value: UInt64)], uptimeSeconds: UInt64, at time: Timestamp
  ) {
    guard settings.logsStats else { return }
    json.beginObject()
    json.key("timestamp")
    json.string { header.timestamps.append(time, to: &$0) }
    json.member("event_type", "stats")
    json.beginObject("stats")
    let own = "sluice."
    StatsRecord.write(
      counters.filter { !$0.name.hasPrefix(own) }, uptimeSeconds: uptimeSeconds, into: &json)
    json.endObject()
    let ours = counters.filter { $0.name.hasPrefix(own) }
    if !ours.isEmpty {
      json.beginObject("sluice")
      StatsRecord.write(ours.map { (String($0.name.dropFirst(own.count)), $0.value) }, into: &json)
      json.endObject()
    }
    end(nil)
  }

  // MARK: For the records

  /// - Parameter hasPacket: false for records of something that no single packet brought about.
  func begin(
    _ type: StaticString, _ context: borrowing EventContext, _ sense: AddressSense,
    _ bytes: RawSpan, hasPacket: Bool = true
  ) {
    header.begin(type, context, sense, hasPacket: hasPacket, bytes: bytes, into: &json)
  }

  /// Closes a record that has nothing of its own to say of what rules noted.
  func close(_ context: borrowing EventContext) {
    writeMetadata(context.flow, [])
    end(context.decryption)
  }

  /// Closes the record.
  func end(_ decryption: DecryptionFacts?) {
    if let decryption { writeDecryption(decryption) }
    json.endObject()
    json.endLine()
    lineCount &+= 1
    if json.bytes.count >= Self.flushOctets { flush() }
  }

  /// What is known of the TLS around decrypted bytes.
  private func writeDecryption(_ facts: DecryptionFacts) {
    json.beginObject("sluice")
    json.member("decrypted", true)
    if let sni = facts.sni { json.member("sni", text: sni) }
    if let alpn = facts.alpn { json.member("alpn", text: alpn) }
    json.member("version", text: facts.version)
    json.member("decision", text: facts.decision)
    json.member("decision_reason", text: facts.decisionReason)
    if !facts.legs.isEmpty {
      json.beginObject("interception")
      write(facts.legs)
      json.endObject()
    }
    json.endObject()
  }

  private func write(_ members: [DecryptionFacts.Member]) {
    for member in members {
      json.key(text: Array(member.name.utf8))
      switch member.value {
      case .text(let text): json.string(text: text)
      case .number(let number): json.number(number)
      case .flag(let flag): json.bool(flag)
      case .object(let inner):
        json.beginObject()
        write(inner)
        json.endObject()
      }
    }
  }

  /// Which way the packet in hand travels, as the application protocol shows who is who.
  func writeDirection(_ context: borrowing EventContext) {
    guard context.flow != nil else { return }
    let isToServer = (context.direction == .toServer) != (context.appLayer?.isReversed ?? false)
    json.member("direction", isToServer ? "to_server" : "to_client")
  }

  /// The protocol of the flow, what each direction shows where that differs, and what the flow was
  /// before it changed.
  func writeAppProtocol(_ context: borrowing EventContext, isOver: Bool = false) {
    guard let flow = EVEHeader.oriented(context) else { return }
    // That nobody knows the stream is told when it is over.
    if flow.appProtocol != .unknown, flow.appProtocol != .failed || isOver || flow.tuple.ipProtocol != IPProtocol.tcp {
      json.member("app_proto", text: flow.appProtocol.name)
    }
    let (toServer, toClient) = (flow.appProtocolToServer, flow.appProtocolToClient)
    if toServer != .unknown, toServer != flow.appProtocol {
      json.member("app_proto_ts", text: toServer.name)
    }
    if toClient != .unknown, toClient != flow.appProtocol {
      json.member("app_proto_tc", text: toClient.name)
    }
    if let original = context.appLayer?.originalProtocol, original != .unknown,
      original != flow.appProtocol
    {
      json.member("app_proto_orig", text: original.name)
    }
  }
}
