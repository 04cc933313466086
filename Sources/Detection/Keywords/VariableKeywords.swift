import RuleLanguage

/// Keywords about what rules remember: bits and numbers on flows, bits on hosts.
///
/// - Source: Suricata "Flow Keywords" (flowbits, flowint), "Xbits Keyword", hostbits.
enum VariableKeywords {
  static let table: [String: KeywordHandler] = [
    "flowbits": flowbits, "flowint": flowint, "xbits": xbits, "hostbits": hostbits, "flowvar": flowvar,
    "pktvar": pktvar,
  ]

  private static let flowbits: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    let command = items[0].word
    if command == "noalert" {
      guard items.count == 1 else { throw items[1].error("noalert takes no name") }
      reader.draft.isSilent = true
      return
    }
    guard items.count == 2 else { throw RuleValueError("takes a command and a name") }
    let names = items[1].text.split(separator: "|").map { String($0).trimmed }
    guard !names.isEmpty, names.allSatisfy({ !$0.isEmpty && !$0.contains(" ") }) else {
      throw items[1].error("a name is empty or holds a blank")
    }
    guard names.count == 1 || command == "isset" || command == "isnotset" else {
      throw items[1].error("several names only go with isset and isnotset")
    }
    var numbers: [UInt16] = []
    for name in names { numbers.append(try number(.flowBit, name, reader)) }
    switch command {
    case "set": reader.draft.actions.append(.setFlowBits(numbers))
    case "unset": reader.draft.actions.append(.unsetFlowBits(numbers))
    case "toggle": reader.draft.actions.append(.toggleFlowBits(numbers))
    case "isset": reader.add(.flowBits(numbers, isSet: true))
    case "isnotset": reader.add(.flowBits(numbers, isSet: false))
    default: throw items[0].error("\(items[0].text) is no flowbits command")
    }
    reader.draft.usesFlowBits.formUnion(command.hasPrefix("is") ? .reads : .writes)
  }

  private static func number(
    _ kind: VariableNames.Kind, _ name: String, _ reader: RuleReader
  ) throws(RuleValueError) -> UInt16 {
    guard let number = reader.names.number(kind, name) else {
      throw .tooManyNames
    }
    return number
  }

  private static let flowint: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    guard items.count >= 2 else { throw RuleValueError("takes a name, a command and perhaps a value") }
    let name = try number(.flowInteger, items[0].text, reader)
    if items.count == 2 {
      switch items[1].word {
      case "isset": reader.add(.flowIntegerIsSet(name, true))
      case "isnotset", "notset": reader.add(.flowIntegerIsSet(name, false))
      default: throw items[1].error("\(items[1].text) needs a value or is no command")
      }
      reader.draft.usesFlowIntegers.formUnion(.reads)
      return
    }
    guard items.count == 3 else { throw items[3].error("too many items") }
    let operand: IntegerOperand
    if let value = UInt32(items[2].text) {
      operand = .constant(value)
    } else {
      operand = .variable(try number(.flowInteger, items[2].text, reader))
    }
    switch items[1].text {
    case "=": reader.draft.actions.append(.setFlowInteger(name, operand))
    case "+": reader.draft.actions.append(.addFlowInteger(name, operand))
    case "-": reader.draft.actions.append(.subtractFlowInteger(name, operand))
    case let sign:
      guard let comparison = IntegerComparison.named(sign) else {
        throw items[1].error("\(sign) is no flowint command")
      }
      reader.add(.flowInteger(name, comparison, operand))
      reader.draft.usesFlowIntegers.formUnion(.reads)
      return
    }
    reader.draft.usesFlowIntegers.formUnion(.writes)
  }

  /// What an expression has captured (`pcre:"/(…)/, flow:NAME"`) holds a text.
  private static let flowvar: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let (name, text) = try captured(option)
    reader.add(.flowVariable(name, text))
  }

  /// What an expression has captured from the same packet (`pcre:"/(…)/, pkt:NAME"`) holds a text.
  private static let pktvar: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let (name, text) = try captured(option)
    reader.add(.packetVariable(name, text))
  }

  private static func captured(_ option: RuleOption) throws(RuleValueError) -> (name: String, text: [UInt8]) {
    let value = try option.required()
    guard let comma = value.firstIndex(of: UInt8(ascii: ",")) else {
      throw RuleValueError("takes a name and a text", hint: "\(option.name):user,\"root\"")
    }
    let name = String(decoding: value[..<comma], as: UTF8.self).trimmed
    guard !name.isEmpty else { throw RuleValueError("the name is empty") }
    var text = Array(String(decoding: value[(comma + 1)...], as: UTF8.self).trimmed.utf8)
    if text.first != UInt8(ascii: "\"") { text = [UInt8(ascii: "\"")] + text + [UInt8(ascii: "\"")] }
    let pattern = try ContentPattern.parse(text)
    guard !pattern.isNegated else { throw RuleValueError("cannot be negated") }
    return (name, pattern.bytes)
  }

  // MARK: Bits on hosts

  /// Seconds that an xbit lives without `expire`.
  private static let xbitSeconds: UInt32 = 30
  private static let hostbitSeconds: UInt32 = 300

  private static let xbits: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    if items.count == 1, items[0].word == "noalert" {
      reader.draft.isSilent = true
      return
    }
    guard items.count >= 3 else {
      throw RuleValueError(
        "takes a command, a name and a track", hint: "xbits:set,name,track ip_src,expire 60")
    }
    var track: XBit.Track?
    var seconds = xbitSeconds
    for item in items.dropFirst(2) {
      let words = item.text.split(separator: " ").map(String.init)
      switch (words.first, words.count) {
      case ("track", 2):
        let tracks: [String: XBit.Track] = [
          "ip_src": .source, "ip_dst": .destination, "ip_pair": .pair, "tx": .transaction,
        ]
        guard let known = tracks[words[1]] else {
          throw item.error("track must be ip_src, ip_dst, ip_pair or tx")
        }
        track = known
      case ("expire", 2):
        guard let value = UInt32(words[1]), value > 0 else { throw item.error("expire must be a number") }
        seconds = value
      default: throw item.error("\(item.text) is not known here")
      }
    }
    guard let track else { throw RuleValueError("track is missing") }
    let bit = XBit(
      name: try number(track.kind, items[1].text, reader), track: track, expireSeconds: seconds)
    try add(bit, items[0], &reader)
  }

  private static let hostbits: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    if items.count == 1, items[0].word == "noalert" {
      reader.draft.isSilent = true
      return
    }
    guard (2...3).contains(items.count) else { throw RuleValueError("takes a command, a name and src or dst") }
    var tracks: [XBit.Track] = [.source]
    if items.count == 3 {
      switch items[2].word {
      case "src": tracks = [.source]
      case "dst": tracks = [.destination]
      default: throw items[2].error("must be src or dst")
      }
    }
    let name = try number(.hostBit, items[1].text, reader)
    for track in tracks {
      try add(XBit(name: name, track: track, expireSeconds: hostbitSeconds), items[0], &reader)
    }
  }

  private static func add(
    _ bit: XBit, _ command: RuleValueItem, _ reader: inout RuleReader
  ) throws(RuleValueError) {
    let use: VariableUse
    switch command.word {
    case "set":
      reader.draft.actions.append(.setXBit(bit))
      use = .writes
    case "unset":
      reader.draft.actions.append(.unsetXBit(bit))
      use = .writes
    case "toggle":
      reader.draft.actions.append(.toggleXBit(bit))
      use = .writes
    case "isset":
      reader.add(.xbit(bit, isSet: true))
      use = .reads
    case "isnotset":
      reader.add(.xbit(bit, isSet: false))
      use = .reads
    default: throw command.error("\(command.text) is no command")
    }
    if bit.track == .pair {
      reader.draft.usesPairBits.formUnion(use)
    } else {
      reader.draft.usesHostBits.formUnion(use)
    }
  }
}
