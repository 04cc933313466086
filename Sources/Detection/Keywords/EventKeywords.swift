import AppLayer
import PacketDecoding
import RuleLanguage

/// Keywords about what decoding, reassembly and parsers found odd, and about the protocol found.
///
/// - Source: Suricata "Decoder events", "App-layer events", "Application layer protocol".
enum EventKeywords {
  static let table: [String: KeywordHandler] = [
    "decode-event": decodeEvent, "stream-event": streamEvent, "app-layer-event": appLayerEvent,
    "app-layer-protocol": appLayerProtocol, "app-layer-state": appLayerState,
  ]

  /// A state of the rule's protocol: reached, or with `<` or `>` not yet reached or left behind.
  ///
  /// - Source: Suricata 8 `app-layer-state`; the names are those of hooks.
  private static let appLayerState: KeywordHandler = { (reader, option) throws(RuleValueError) in
    var name = try option.word()
    let comparison = name.first.flatMap { "<>".contains($0) ? $0 : nil }
    if comparison != nil { name = String(name.dropFirst()) }
    let protocols = AppProtocol.allCases.filter { reader.draft.head.appProtocols.contains($0) }.map(\.name)
    guard !protocols.isEmpty else {
      throw RuleValueError("needs an application protocol in the rule's header", hint: "alert tls …")
    }
    guard let hook = protocols.lazy.compactMap({ RuleHook.named(name, of: $0) }).first else {
      throw RuleValueError("\(protocols[0]) has no state \(name), or it is not supported")
    }
    guard reader.draft.hook == nil else { throw RuleValueError("the rule waits for a state already") }
    switch comparison {
    case "<":
      reader.limitDirection(hook.direction)
      reader.draft.transactionConditions.append(.progress(hook.direction, hook.progress, isNegated: true))
    case ">":
      reader.limitDirection(hook.direction)
      reader.draft.transactionConditions.append(
        .progress(hook.direction, hook.progress + 1, isNegated: false))
    default: RuleHook.set(hook, &reader)
    }
  }

  private static let decodeEvent: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let name = try option.word()
    guard let event = DecodeEvent(ruleName: name) else {
      let names = DecodeEvent.allCases.map(\.ruleName)
      throw RuleValueError(
        "\(name) is no decode event",
        hint: NearMatch.find(name, among: names).map { "did you mean \($0)?" })
    }
    reader.add(.decodeEvent(event))
  }

  private static let streamEvent: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let name = try option.word()
    guard let event = StreamEvent(ruleName: name) else {
      let names = StreamEvent.allCases.map(\.ruleName)
      throw RuleValueError(
        "\(name) is no stream event",
        hint: NearMatch.find(name, among: names).map { "did you mean \($0)?" })
    }
    reader.add(.streamEvent(event))
  }

  private static let appLayerEvent: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let name = try option.word()
    if let event = FlowAppLayerEvents.byName[name] {
      reader.add(.flowEvent(event))
      return
    }
    guard let dot = name.firstIndex(of: "."),
      let appProtocol = AppProtocol(name: String(name[..<dot]))
    else {
      throw RuleValueError("must be a protocol and an event", hint: "app-layer-event:http.missing_host_header")
    }
    guard TransactionKeywords.parsed.contains(appProtocol) else {
      throw RuleValueError("the protocol \(appProtocol.name) is not parsed")
    }
    reader.limit(to: [appProtocol])
    let event = String(name[name.index(after: dot)...])
    reader.draft.transactionConditions.append(.event(AppEvent(appProtocol, formerNames[event] ?? event)))
  }

  /// Names that rules of old have for events that are told by another one today.
  private static let formerNames = [
    "response_invalid_protocol": "response_line_invalid_protocol",
    "response_invalid_status": "response_line_invalid_response_status",
  ]

  private static let appLayerProtocol: KeywordHandler = { (reader, option) throws(RuleValueError) in
    var name = try option.word()
    let isNegated = name.hasPrefix("!")
    if isNegated { name = String(name.dropFirst()).trimmed }
    var view = ProtocolView.settled
    if let comma = name.firstIndex(of: ",") {
      switch String(name[name.index(after: comma)...]).trimmed {
      case "final", "direction": break
      case "original": view = .original
      case "either": view = .either
      case "to_server": view = .toServer
      case "to_client": view = .toClient
      default: throw RuleValueError("must be final, original, either, to_server or to_client after the protocol")
      }
      name = String(name[..<comma]).trimmed
    }
    guard let appProtocol = AppProtocol(name: name), appProtocol != .unknown || !isNegated else {
      throw RuleValueError("\(name) is not a protocol that is recognised")
    }
    let known = reader.draft.conditions.compactMap { condition in
      if case .state(.appProtocol(_, _, let isNegated)) = condition { isNegated } else { nil as Bool? }
    }
    guard known.isEmpty || isNegated && !known.contains(false) else {
      throw .misplaced("a protocol that must be goes with no other app-layer-protocol")
    }
    reader.add(.appProtocol(appProtocol, view, isNegated: isNegated))
    reader.asksForProtocol = true
  }
}
