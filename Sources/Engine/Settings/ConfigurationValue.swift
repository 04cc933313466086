import Yams

/// A configuration as a tree, before any of it is given a meaning.
///
/// JSON is read as the YAML that it is. Duplicate keys, anchors in cycles and documents that are no
/// mapping are errors.
public indirect enum ConfigurationValue: Sendable, Equatable {
  case scalar(String)
  case list([ConfigurationValue])
  /// In the order of the file.
  case map([Entry])

  public struct Entry: Sendable, Equatable {
    public var key: String
    public var value: ConfigurationValue
    /// Line in the file, from 1; 0 for settings given on the command line.
    public var line: Int
    /// The file, where another one included it.
    public var file: String?

    init(key: String, value: ConfigurationValue, line: Int, file: String? = nil) {
      self.key = key
      self.value = value
      self.line = line
      self.file = file
    }
  }

  /// - Throws: ``SettingsError`` with file and line.
  public static func parse(_ text: String, file: String) throws(SettingsError) -> ConfigurationValue {
    try parse(text, ConfigurationSource(file: file))
  }

  static func parse(_ text: String, _ source: ConfigurationSource) throws(SettingsError) -> ConfigurationValue {
    let file = source.file
    let node: Node?
    do {
      node = try Yams.compose(yaml: text)
    } catch {
      throw SettingsError("\(file): \(error)".split(separator: "\n").joined(separator: " "))
    }
    guard let node else { return .map([]) }
    let value = try convert(node, source, depth: 0)
    // A file of keys without values is as good as an empty one.
    if case .scalar("") = value { return .map([]) }
    guard case .map = value else { throw SettingsError("\(file): the top level must be a mapping") }
    return value
  }

  /// Deeper files are refused: nothing that is meant is nested like that.
  private static let depthMax = 64

  private static func convert(
    _ node: Node, _ source: ConfigurationSource, depth: Int
  ) throws(SettingsError) -> ConfigurationValue {
    guard depth < depthMax else { throw SettingsError("\(source.file): nested deeper than \(depthMax) levels") }
    switch node {
    case .scalar(let scalar):
      // `outputs: !include outputs.yaml`
      guard scalar.tag.description == "!include" else { return .scalar(scalar.string) }
      return try source.include(scalar.string)
    case .sequence(let sequence):
      var items: [ConfigurationValue] = []
      for item in sequence { items.append(try convert(item, source, depth: depth + 1)) }
      return .list(items)
    case .mapping(let mapping): return try convert(mapping, source, depth: depth)
    case .alias: throw SettingsError("\(source.file): an alias that names nothing")
    }
  }

  private static func convert(
    _ mapping: Node.Mapping, _ source: ConfigurationSource, depth: Int
  ) throws(SettingsError) -> ConfigurationValue {
    var result = ConfigurationValue.map([])
    for (key, node) in mapping {
      let line = key.mark?.line ?? 0
      guard let name = key.string else {
        throw SettingsError("\(source.file):\(line): a key must be text")
      }
      let value = try convert(node, source, depth: depth + 1)
      guard name == "include" else {
        result.merge(Entry(key: name, value: value, line: line, file: source.includedFile))
        continue
      }
      for file in value.texts {
        guard case .map(let entries) = try source.include(file) else {
          throw SettingsError("\(file): the top level must be a mapping")
        }
        for entry in entries { result.merge(entry) }
      }
    }
    return result
  }

  /// A single value, or those of a list.
  private var texts: [String] {
    switch self {
    case .scalar(let text): text.isEmpty ? [] : [text]
    case .list(let items): items.flatMap(\.texts)
    case .map: []
    }
  }

  /// Adds an entry to a mapping: what came first gives way, but mappings are joined.
  private mutating func merge(_ entry: Entry) {
    guard case .map(var entries) = self else { return }
    if let index = entries.firstIndex(where: { $0.key == entry.key }) {
      if case .map = entries[index].value, case .map(let more) = entry.value {
        for inner in more { entries[index].value.merge(inner) }
      } else {
        entries[index] = entry
      }
    } else {
      entries.append(entry)
    }
    self = .map(entries)
  }

  /// Sets what a dotted path names, making what is missing: `a.b.0.c=value`.
  ///
  /// A list element that is a mapping with one key is also found by that key, as Suricata does
  /// (`outputs.eve-log.enabled`).
  public mutating func set(_ path: [Substring], _ value: String) {
    guard let first = path.first else {
      self = .scalar(value)
      return
    }
    let rest = Array(path.dropFirst())
    if case .list(var items) = self {
      if let index = Int(first), index >= 0, index <= items.count {
        if index == items.count { items.append(.map([])) }
        items[index].set(rest, value)
        self = .list(items)
        return
      }
      for index in items.indices where items[index].entry(String(first)) != nil {
        items[index].set(path, value)
        self = .list(items)
        return
      }
    }
    if first == "0", case .map(let entries) = self, entries.isEmpty {
      var item = ConfigurationValue.map([])
      item.set(rest, value)
      self = .list([item])
      return
    }
    var entries: [Entry] = []
    if case .map(let existing) = self { entries = existing }
    if let index = entries.firstIndex(where: { $0.key == first }) {
      entries[index].value.set(rest, value)
    } else {
      var item = ConfigurationValue.map([])
      item.set(rest, value)
      entries.append(Entry(key: String(first), value: item, line: 0))
    }
    self = .map(entries)
  }

  /// A mapping whose keys are all numbers as the list of its values, else the value itself: what single
  /// settings make of a list that is set nowhere (`outputs.1.eve-log…`).
  public var numberedAsList: ConfigurationValue {
    guard case .map(let entries) = self, !entries.isEmpty, entries.allSatisfy({ Int($0.key) != nil }) else {
      return self
    }
    return .list(entries.map(\.value))
  }

  /// The value under a key of a mapping, or of a list of one-key mappings.
  public func entry(_ key: String) -> ConfigurationValue? {
    switch self {
    case .scalar: return nil
    case .map(let entries): return entries.first { $0.key == key }?.value
    case .list(let items):
      for item in items {
        if case .map(let entries) = item, let found = entries.first(where: { $0.key == key }) {
          return found.value
        }
      }
      return nil
    }
  }

  /// What a dotted path names. Keys may hold dots themselves only as a whole path element.
  public func at(_ path: String) -> ConfigurationValue? {
    var value: ConfigurationValue = self
    for part in path.split(separator: ".") {
      if case .list(let items) = value, let index = Int(part) {
        guard items.indices.contains(index) else { return nil }
        value = items[index]
      } else {
        guard let next = value.entry(String(part)) else { return nil }
        value = next
      }
    }
    return value
  }
}

/// Something in the configuration that cannot be used; the operator's to mend.
public struct SettingsError: Error, Sendable, CustomStringConvertible {
  public var message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}
