import RuleLanguage

/// JSON as datasets need it: read, look into by keys, take a key away, write.
///
/// - Source: RFC 8259.
/// - Limits: values nested deeper than ``depthMax`` are refused.
indirect enum JSONValue: Sendable {
  /// A number, true, false or null as written.
  case plain([UInt8])
  /// A string as written, between its quotes.
  case string([UInt8])
  case array([JSONValue])
  case object([(key: [UInt8], value: JSONValue)])

  static let depthMax = 32

  init?(_ bytes: ArraySlice<UInt8>) {
    var reader = JSONReader(rest: bytes)
    guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
    self = value
  }

  /// What stands under the keys of a path; nil where there is none.
  func at(_ path: [Substring]) -> JSONValue? {
    guard let key = path.first else { return self }
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == Array(key.utf8) }?.value.at(Array(path.dropFirst()))
  }

  func removing(_ path: [Substring]) -> JSONValue {
    guard let key = path.first.map({ Array($0.utf8) }), case .object(let members) = self else { return self }
    return .object(
      members.compactMap { member in
        guard member.key == key else { return member }
        return path.count == 1 ? nil : (member.key, member.value.removing(Array(path.dropFirst())))
      })
  }

  /// The text of a string, escapes undone; of anything else as written.
  var text: [UInt8] {
    switch self {
    case .plain(let bytes): bytes
    case .string(let bytes): JSONReader.unescaped(bytes)
    case .array, .object: written
    }
  }

  var written: [UInt8] {
    switch self {
    case .plain(let bytes): return bytes
    case .string(let bytes): return [0x22] + bytes + [0x22]
    case .array(let items): return [0x5b] + Array(items.map(\.written).joined(separator: [0x2c])) + [0x5d]
    case .object(let members):
      let texts = members.map { [0x22] + $0.key + [0x22, 0x3a] + $0.value.written }
      return [0x7b] + Array(texts.joined(separator: [0x2c])) + [0x7d]
    }
  }
}

private struct JSONReader {
  var rest: ArraySlice<UInt8>

  var isAtEnd: Bool {
    mutating get {
      skipBlanks()
      return rest.isEmpty
    }
  }

  private mutating func skipBlanks() {
    while let byte = rest.first, byte == 32 || byte == 9 || byte == 10 || byte == 13 { rest.removeFirst() }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    skipBlanks()
    guard rest.first == byte else { return false }
    rest.removeFirst()
    return true
  }

  mutating func value(depth: Int) -> JSONValue? {
    guard depth < JSONValue.depthMax else { return nil }
    if take(0x7b) { return object(depth) }
    if take(0x5b) { return array(depth) }
    if take(0x22) { return string().map(JSONValue.string) }
    let word = rest.prefix { byte in
      (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x45 || byte == 0x2b
        || byte == 0x2d || byte == 0x2e
    }
    guard !word.isEmpty else { return nil }
    rest.removeFirst(word.count)
    return .plain(Array(word))
  }

  private mutating func object(_ depth: Int) -> JSONValue? {
    var members: [(key: [UInt8], value: JSONValue)] = []
    if take(0x7d) { return .object(members) }
    while true {
      guard take(0x22), let key = string(), take(0x3a), let value = value(depth: depth + 1) else { return nil }
      members.append((key, value))
      if take(0x7d) { return .object(members) }
      guard take(0x2c) else { return nil }
    }
  }

  private mutating func array(_ depth: Int) -> JSONValue? {
    var items: [JSONValue] = []
    if take(0x5d) { return .array(items) }
    while true {
      guard let value = value(depth: depth + 1) else { return nil }
      items.append(value)
      if take(0x5d) { return .array(items) }
      guard take(0x2c) else { return nil }
    }
  }

  /// Behind the opening quote; takes the closing one.
  private mutating func string() -> [UInt8]? {
    var index = rest.startIndex
    while index < rest.endIndex, rest[index] != 0x22 {
      index += rest[index] == 0x5c ? 2 : 1
    }
    guard index < rest.endIndex else { return nil }
    let text = Array(rest[..<index])
    rest = rest[(index + 1)...]
    return text
  }

  static func unescaped(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.contains(0x5c) else { return bytes }
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
      guard bytes[index] == 0x5c, index + 1 < bytes.count else {
        result.append(bytes[index])
        index += 1
        continue
      }
      switch bytes[index + 1] {
      case 0x6e: result.append(10)
      case 0x74: result.append(9)
      case 0x72: result.append(13)
      case 0x62: result.append(8)
      case 0x66: result.append(12)
      case 0x75:
        let digits = String(decoding: bytes[(index + 2)..<min(index + 6, bytes.count)], as: UTF8.self)
        if let code = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(code) {
          result += Array(String(Character(scalar)).utf8)
        }
        index += 4
      case let other: result.append(other)
      }
      index += 2
    }
    return result
  }
}

extension Dataset {
  /// Takes the objects of a JSON file: an array of them, perhaps under a key, or one to a line.
  func load(json bytes: [UInt8], _ description: DatasetDescription) throws(RuleValueError) {
    guard let valueKey = description.valueKey else {
      throw RuleValueError("a dataset in JSON needs a value_key")
    }
    let path = valueKey.split(separator: ".")
    var added = 0
    for object in try objects(bytes, description) {
      guard let value = object.at(path), let key = key(text: value.text, isPlain: true) else { continue }
      let context = description.removesValue ? object.removing(path) : object
      add(key, Entry(context: context.written))
      added += 1
    }
    guard added > 0 || bytes.isEmpty else {
      throw RuleValueError("nothing in the file has a value under \(valueKey)")
    }
  }

  private func objects(
    _ bytes: [UInt8], _ description: DatasetDescription
  ) throws(RuleValueError) -> [JSONValue] {
    if case .jsonLines = description.format {
      var result: [JSONValue] = []
      for (number, line) in bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
        let line = Self.trimmed(line)
        if line.isEmpty { continue }
        guard let value = JSONValue(line) else {
          throw RuleValueError("line \(number + 1) of the file is no JSON")
        }
        result.append(value)
      }
      return result
    }
    let arrayPath = description.arrayKey?.split(separator: ".") ?? []
    guard let root = JSONValue(bytes[...]), case .array(let items)? = root.at(arrayPath) else {
      throw RuleValueError("the file is no JSON with an array of objects")
    }
    return items
  }
}
