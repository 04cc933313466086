import RuleLanguage

/// `dataset` and `datarep`: the buffer in hand is looked up in a set of values.
///
/// - Source: Suricata "Datasets".
enum DatasetKeywords {
  static let table: [String: KeywordHandler] = ["dataset": dataset, "datarep": datarep]

  /// Datasets are declared by the first rule that names them, so that the order of these rules counts.
  static func isOne(_ option: RuleOption) -> Bool { numbers.contains(option.keywordNumber) }

  private static let numbers: [UInt16] = KeywordTable.numberedNames.indices.filter {
    table[KeywordTable.numberedNames[$0]] != nil
  }.map { UInt16(clamping: $0) }

  private static let dataset: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(try option.required())
    guard items.count > 1 else {
      throw RuleValueError("needs a command and a name", hint: "dataset:isset,name,type string,load name.lst")
    }
    let command: DatasetTest.Command
    switch items[0].word {
    case "isset": command = .isSet
    case "isnotset": command = .isNotSet
    case "set": command = .set
    case "unset": command = .unset
    default: throw items[0].error("the command must be isset, isnotset, set or unset")
    }
    let options = try read(items.dropFirst(2), items[1], reader)
    var test = DatasetTest(
      dataset: try reader.names.datasets.dataset(options.description), command: command)
    test.matchesDomains = options.matchesDomains
    test.contextName = options.contextName
    try append(test, &reader)
  }

  private static let datarep: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(try option.required())
    guard items.count > 2 else {
      throw RuleValueError("needs a name, an operator and a number", hint: "datarep:name,>,200,load name.rep,type string")
    }
    guard let value = UInt16(items[2].text) else { throw items[2].error("a reputation is 0 to 65535") }
    let command: DatasetTest.Command
    switch items[1].text {
    case "<": command = .less(value)
    case "=", "==": command = .equal(value)
    case ">": command = .greater(value)
    default: throw items[1].error("the operator must be <, > or ==")
    }
    let options = try read(items.dropFirst(3), items[0], reader)
    try append(
      DatasetTest(dataset: try reader.names.datasets.dataset(options.description), command: command), &reader)
  }

  private static func append(_ test: DatasetTest, _ reader: inout RuleReader) throws(RuleValueError) {
    guard reader.current != 0 else {
      throw .misplaced("needs a sticky buffer before it", hint: "dns.query; dataset:…")
    }
    reader.blocks[reader.current].builder.append(dataset: test)
  }

  private struct Options {
    var description: DatasetDescription
    var matchesDomains = false
    var contextName: String?
  }

  static let nameMax = 63

  private static func read(
    _ items: ArraySlice<RuleValueItem>, _ name: RuleValueItem, _ reader: RuleReader
  ) throws(RuleValueError) -> Options {
    guard !name.text.contains(where: \.isWhitespace), name.bytes.count <= nameMax else {
      throw name.error("a name has no blanks and at most \(nameMax) octets")
    }
    var options = Options(description: DatasetDescription(name: name.text))
    options.description.directory = reader.directory
    var hasState = false
    for item in items {
      let words = item.text.split(separator: " ", maxSplits: 1).map { String($0).trimmed }
      let value = words.count > 1 ? words[1] : nil
      guard let key = words.first?.lowercased() else { continue }
      guard let value else {
        guard key == "remove_key" else { throw item.error("\(key) has no value") }
        options.description.removesValue = true
        continue
      }
      switch key {
      case "type":
        // Suricata calls the set of both kinds of addresses by either name.
        guard let kind = DatasetKind(rawValue: value == "ipv6" ? "ip" : value) else { throw item.error("there is no type \(value)") }
        options.description.kind = kind
      case "load": options.description.loadFile = value
      case "save": options.description.saveFile = try written(value, item)
      case "state":
        hasState = true
        options.description.loadFile = try written(value, item)
        options.description.saveFile = value
      case "memcap":
        guard let size = size(value) else { throw item.error("\(value) is no size") }
        options.description.memcapBytes = size
      case "hashsize":
        // Tables here grow with what is in them.
        guard UInt32(value) != nil else { throw item.error("\(value) is no number") }
      case "format":
        switch value {
        case "csv": options.description.format = .lines
        case "json": options.description.format = .json
        case "jsonline", "ndjson": options.description.format = .jsonLines
        default: throw item.error("the format must be csv, json or ndjson")
        }
      case "value_key": options.description.valueKey = value
      case "array_key": options.description.arrayKey = value
      case "context_key", "enrichment_key": options.contextName = value
      case "match":
        guard value == "subdomain" else { throw item.error("match takes subdomain") }
        options.matchesDomains = true
      default: throw item.error("there is no option \(key)")
      }
    }
    if hasState, items.count(where: { $0.word.hasPrefix("load ") || $0.word.hasPrefix("save ") }) > 0 {
      throw name.error("state stands for load and save; give it or them")
    }
    return options
  }

  /// Rules may write only below the folder for it.
  private static func written(_ file: String, _ item: RuleValueItem) throws(RuleValueError) -> String {
    guard !file.hasPrefix("/"), !file.split(separator: "/").contains("..") else {
      throw item.error("a rule may only write to files below the data folder")
    }
    return file
  }

  /// Octets, at most a tebibyte.
  private static func size(_ text: String) -> Int? {
    let digits = text.prefix { $0.isNumber }
    let shift: Int
    switch text.dropFirst(digits.count).lowercased() {
    case "", "b": shift = 0
    case "kb", "k": shift = 10
    case "mb", "m": shift = 20
    case "gb", "g": shift = 30
    default: return nil
    }
    guard let number = Int(digits), number <= 1 << (40 - shift) else { return nil }
    return number << shift
  }
}
