/// Reads typed values out of a configuration and notes which keys were looked at, so that the ones
/// without a meaning can be told of.
struct SettingsReader {
  let root: ConfigurationValue
  let file: String
  private(set) var known: Set<String> = []

  init(root: ConfigurationValue, file: String) {
    self.root = root
    self.file = file
  }

  /// Everything below this path has a meaning that is read elsewhere, or none that matters.
  mutating func note(_ path: String) { known.insert(path) }

  mutating func value(_ path: String) -> ConfigurationValue? {
    known.insert(path)
    return root.at(path)
  }

  mutating func text(_ path: String) throws(SettingsError) -> String? {
    switch value(path) {
    case nil: return nil
    case .scalar(let text)?: return text
    case .list?, .map?: throw SettingsError("\(file): \(path) must be a single value")
    }
  }

  /// yes/no in the ways of YAML 1.1; `auto` is left to the caller.
  mutating func flag(_ path: String) throws(SettingsError) -> Bool? {
    guard let text = try text(path) else { return nil }
    guard let flag = Self.flag(text) else {
      throw SettingsError("\(file): \(path) must be yes or no, not \(text)")
    }
    return flag
  }

  static func flag(_ text: String) -> Bool? {
    switch text.lowercased() {
    case "yes", "true", "on", "1": true
    case "no", "false", "off", "0": false
    default: nil
    }
  }

  mutating func number(
    _ path: String, in range: ClosedRange<Int> = 0...Int(Int32.max)
  ) throws(SettingsError) -> Int? {
    guard let text = try text(path) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw SettingsError(
        "\(file): \(path) must be a number from \(range.lowerBound) to \(range.upperBound), not \(text)")
    }
    return number
  }

  /// Octets: a number with or without kb, mb, gb (powers of 1024).
  mutating func size(_ path: String) throws(SettingsError) -> Int? {
    guard let text = try text(path) else { return nil }
    guard let size = Self.size(text) else {
      throw SettingsError("\(file): \(path) must be a size such as 64kb or 1mb, not \(text)")
    }
    return size
  }

  static func size(_ text: String) -> Int? {
    let lower = text.lowercased().filter { $0 != " " }
    let units: [(String, Int)] = [
      ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("kb", 1 << 10), ("mb", 1 << 20),
      ("gb", 1 << 30), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("b", 1),
    ]
    for (unit, factor) in units where lower.hasSuffix(unit) {
      guard let count = Int(lower.dropLast(unit.count)), count >= 0 else { return nil }
      let (product, overflow) = count.multipliedReportingOverflow(by: factor)
      return overflow ? nil : product
    }
    guard let count = Int(lower), count >= 0 else { return nil }
    return count
  }

  /// A list of single values; a single value stands for a list of one.
  mutating func texts(_ path: String) throws(SettingsError) -> [String]? {
    switch value(path) {
    case nil: return nil
    case .scalar(let text)?: return text.isEmpty ? [] : [text]
    case .map(let entries)? where entries.isEmpty: return []
    case .map?: throw SettingsError("\(file): \(path) must be a list")
    case .list(let items)?:
      var texts: [String] = []
      for item in items {
        guard case .scalar(let text) = item else {
          throw SettingsError("\(file): \(path) must be a list of single values")
        }
        texts.append(text)
      }
      return texts
    }
  }

  /// Keys and single values of a mapping, in order.
  mutating func map(_ path: String) throws(SettingsError) -> [(key: String, value: String)]? {
    switch value(path) {
    case nil: return nil
    case .map(let entries)?:
      var pairs: [(key: String, value: String)] = []
      for entry in entries {
        switch entry.value {
        case .scalar(let text): pairs.append((entry.key, text))
        case .list(let items):
          let texts = items.compactMap { if case .scalar(let text) = $0 { text } else { nil } }
          pairs.append((entry.key, "[" + texts.joined(separator: ",") + "]"))
        case .map: throw SettingsError("\(file): \(path).\(entry.key) must be a single value")
        }
      }
      return pairs
    case .scalar(let text)? where text.isEmpty || text == "~" || text == "null": return []
    case .scalar?, .list?: throw SettingsError("\(file): \(path) must be a mapping")
    }
  }

  /// The paths in the configuration that nothing looked at, with their lines.
  func unknownPaths() -> [(path: String, place: String)] {
    var unknown: [(path: String, place: String)] = []
    collect(root, "", file, &unknown)
    return unknown
  }

  private func place(_ entry: ConfigurationValue.Entry) -> String {
    let file = entry.file ?? self.file
    return entry.line > 0 ? "\(file):\(entry.line)" : file
  }

  private func collect(
    _ value: ConfigurationValue, _ path: String, _ place: String, _ unknown: inout [(path: String, place: String)]
  ) {
    if known.contains(path) { return }
    switch value {
    // A key whose values are all commented out says nothing.
    case .scalar(""): return
    case .map(let entries) where !entries.isEmpty && (path.isEmpty || hasKnown(below: path)):
      for entry in entries {
        collect(entry.value, path.isEmpty ? entry.key : path + "." + entry.key, self.place(entry), &unknown)
      }
    case .list(let items) where hasKnown(below: path):
      for item in items {
        if case .map = item { collect(item, path, place, &unknown) }
      }
    default: if !path.isEmpty { unknown.append((path, place)) }
    }
  }

  private func hasKnown(below path: String) -> Bool { known.contains { $0.hasPrefix(path + ".") } }
}
