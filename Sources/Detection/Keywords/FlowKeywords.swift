import AppLayer
import RuleLanguage
import Traffic

/// Keywords about the flow that a packet is part of, and thresholds.
///
/// - Source: Suricata "Flow Keywords", "Thresholding Keywords".
enum FlowKeywords {
  static let table: [String: KeywordHandler] = [
    "flow": flow, "stream_size": streamSize,
    "threshold": threshold, "detection_filter": detectionFilter,
    "flow.age": { (reader, option) throws(RuleValueError) in
      reader.add(.flowAge(try option.condition(max: UInt64(UInt32.max))))
    },
    "flow.pkts": counts(.packets), "flow.bytes": counts(.bytes),
    "flow.pkts_toserver": counts(.packets, .toServer),
    "flow.pkts_toclient": counts(.packets, .toClient),
    "flow.bytes_toserver": counts(.bytes, .toServer),
    "flow.bytes_toclient": counts(.bytes, .toClient),
    "flow.elephant": { (reader, option) throws(RuleValueError) in
      guard let side = sides[try option.word()] else {
        throw RuleValueError("must be toserver, toclient, either or both")
      }
      reader.add(.elephant(side))
    },
  ]

  private static let sides: [String: FlowSide] = [
    "toserver": .toServer, "toclient": .toClient, "either": .either, "both": .both,
  ]

  private static let flowOptions: [String: FlowCondition] = [
    "to_server": .toServer, "from_client": .toServer, "to_client": .toClient,
    "from_server": .toClient, "established": .established, "not_established": .notEstablished,
    "stateless": .stateless, "only_stream": .onlyStream, "no_stream": .noStream,
    "only_frag": .onlyFragment, "no_frag": .noFragment,
  ]

  private static let exclusive: [FlowCondition] = [
    [.toServer, .toClient], [.established, .notEstablished], [.established, .stateless],
    [.notEstablished, .stateless], [.onlyStream, .noStream], [.onlyFragment, .noFragment],
  ]

  private static let flow: KeywordHandler = { (reader, option) throws(RuleValueError) in
    for item in try RuleValueList.parse(try option.required()) {
      guard let condition = flowOptions[item.word] else {
        throw item.error(
          "\(item.text) is no flow option",
          hint: NearMatch.find(item.word, among: flowOptions.keys).map { "did you mean \($0)?" })
      }
      // Source: Suricata refuses a direction or state that is set already.
      guard reader.namedFlow.isDisjoint(with: condition) else { throw item.error("\(item.text) is asked for already") }
      reader.namedFlow.formUnion(condition)
      reader.draft.head.flow.formUnion(condition)
    }
    for pair in exclusive where reader.draft.head.flow.isSuperset(of: pair) {
      throw RuleValueError("two options exclude each other")
    }
    if reader.draft.head.flow.contains(.noStream) { reader.needsPacket = true }
    if reader.draft.head.flow.contains(.onlyStream) { reader.needsStream = true }
  }

  private enum Counted { case packets, bytes }

  /// `flow.pkts:toserver,>5`; the names of old have the side in them.
  private static func counts(_ counted: Counted, _ fixed: FlowSide? = nil) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      var side = fixed ?? .both
      var text = try option.word()
      if fixed == nil {
        guard let comma = text.firstIndex(of: ",") else {
          throw RuleValueError("takes a side and a number", hint: "flow.pkts:toserver,>5")
        }
        guard let named = sides[String(text[..<comma]).trimmed] else {
          throw RuleValueError("must be toserver, toclient, either or both")
        }
        side = named
        text = String(text[text.index(after: comma)...])
      }
      let max: UInt64 = counted == .packets ? UInt64(UInt32.max) : .max
      let condition = try NumericCondition.parse(Array(text.utf8), max: max)
      switch counted {
      case .packets: reader.add(.flowPackets(condition, side))
      case .bytes: reader.add(.flowBytes(condition, side))
      }
    }
  }

  private static let streamSize: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(try option.required())
    guard items.count == 3 else {
      throw RuleValueError("takes a side, a comparison and a number", hint: "stream_size:server,>,1024")
    }
    let sides: [String: StreamSizeCondition.Side] = [
      "client": .client, "server": .server, "both": .both, "either": .either,
    ]
    guard let side = sides[items[0].word] else {
      throw items[0].error("must be client, server, both or either")
    }
    guard let comparison = IntegerComparison.named(items[1].word) else {
      throw items[1].error("is no comparison")
    }
    reader.add(
      .streamSize(
        StreamSizeCondition(
          side: side, comparison: comparison, octets: try RuleNumber.size(items[2].bytes))))
  }

  // MARK: Thresholds

  private static let threshold: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let values = try keyValues(option)
    let kinds: [String: RuleThreshold.Kind] = [
      "limit": .limit, "threshold": .threshold, "both": .both, "backoff": .backoff,
    ]
    guard let kind = values["type"].flatMap({ kinds[$0.word] }) else {
      throw RuleValueError("type must be limit, threshold, both or backoff")
    }
    try set(kind, values, &reader)
  }

  private static let detectionFilter: KeywordHandler = { (reader, option) throws(RuleValueError) in
    try set(.detectionFilter, try keyValues(option), &reader)
  }

  private static func keyValues(_ option: RuleOption) throws(RuleValueError) -> [String: RuleValueItem] {
    var values: [String: RuleValueItem] = [:]
    for item in try RuleValueList.parseKeyValues(try option.required()) {
      guard ["type", "track", "count", "seconds", "multiplier"].contains(item.key) else {
        throw RuleValueError("\(item.key) is not known here", columnOffset: item.keyOffset)
      }
      values[item.key] = item.value
    }
    return values
  }

  private static func set(
    _ kind: RuleThreshold.Kind, _ values: [String: RuleValueItem], _ reader: inout RuleReader
  ) throws(RuleValueError) {
    guard reader.draft.threshold == nil else {
      throw RuleValueError("a rule has one threshold or detection_filter")
    }
    func number(_ key: String) throws(RuleValueError) -> UInt32 {
      guard let item = values[key] else { throw RuleValueError("\(key) is missing") }
      return UInt32(
        truncatingIfNeeded: try RuleNumber.unsigned(item.bytes, in: 1...UInt64(UInt32.max)))
    }
    /// Suricata 8 takes a unit behind the number: `1m`, `2h`.
    func seconds(_ item: RuleValueItem?) throws(RuleValueError) -> UInt32 {
      guard let item else { throw RuleValueError("seconds is missing") }
      let units: [UInt8: UInt64] = [
        UInt8(ascii: "s"): 1, UInt8(ascii: "m"): 60, UInt8(ascii: "h"): 3600, UInt8(ascii: "d"): 86_400,
      ]
      let unit = kind == .detectionFilter ? nil : item.bytes.last.flatMap { units[$0] }
      let digits = unit == nil ? item.bytes : Array(item.bytes.dropLast())
      let number = try RuleNumber.unsigned(digits, in: 1...UInt64(UInt32.max) / (unit ?? 1))
      return UInt32(clamping: number &* (unit ?? 1))
    }
    let tracks: [ThresholdFile.Track] = [.bySource, .byDestination, .byBoth, .byRule, .byFlow]
    guard let track = tracks.first(where: { $0.rawValue == values["track"]?.word }) else {
      throw RuleValueError("track must be by_src, by_dst, by_both, by_rule or by_flow")
    }
    let isBackoff = kind == .backoff
    guard !isBackoff || track == .byFlow else { throw RuleValueError("backoff only goes with track by_flow") }
    reader.draft.threshold = RuleThreshold(
      kind: kind, track: track, count: try number("count"),
      seconds: isBackoff ? 0 : try seconds(values["seconds"]),
      multiplier: isBackoff ? try number("multiplier") : 1)
  }
}

extension IntegerComparison {
  static func named(_ text: String) -> IntegerComparison? {
    switch text {
    case "<", "lt": .less
    case "<=", "le": .lessOrEqual
    case "=", "==", "eq": .equal
    case "!=", "!", "ne": .notEqual
    case ">=", "ge": .greaterOrEqual
    case ">", "gt": .greater
    default: nil
    }
  }
}
