/// What `classtype` may name: `config classification: shortname,description,priority`.
///
/// - Source: Suricata classification.config. Names ignore case.
public struct ClassificationFile: Sendable {
  public struct Entry: Sendable, Hashable {
    /// The name that `classtype` gives, in lower case.
    public var name: String
    /// What alerts call it, e.g. "A Network Trojan was detected".
    public var description: String
    /// 1 is the most urgent.
    public var priority: UInt8

    public init(name: String, description: String, priority: UInt8) {
      self.name = name
      self.description = description
      self.priority = priority
    }
  }

  /// In the order of the file; of entries with one name, the first.
  public private(set) var entries: [Entry] = []
  public private(set) var diagnostics: [RuleDiagnostic] = []
  private var indexes: [String: Int] = [:]

  /// An empty file.
  public init() {}

  /// The entry of that name in any case.
  public func entry(_ name: String) -> Entry? {
    (indexes[name] ?? indexes[ASCII.lowercased(name.utf8).text]).map { entries[$0] }
  }

  public static func parse(_ bytes: [UInt8], fileName: String) -> ClassificationFile {
    var file = ClassificationFile()
    var lines = ConfigurationLines(bytes, fileName: fileName)
    while let line = lines.next() {
      do throws(RuleValueError) {
        let entry = try parse(line.bytes)
        guard file.indexes[entry.name] == nil else {
          file.diagnostics.append(
            line.diagnostic(RuleValueError("\(entry.name) is already defined"), .warning))
          continue
        }
        file.indexes[entry.name] = file.entries.count
        file.entries.append(entry)
      } catch { file.diagnostics.append(line.diagnostic(error)) }
    }
    return file
  }

  /// The description may hold commas: the priority stands after the last one.
  private static func parse(_ line: [UInt8]) throws(RuleValueError) -> Entry {
    var reader = RuleValueReader(line)
    try reader.takeConfig("classification")
    let name = try reader.takeName()
    reader.skipBlanks()
    guard reader.take(","), let comma = line[reader.index...].lastIndex(of: ASCII.comma) else {
      throw RuleValueError(
        "',' is missing", columnOffset: reader.index, hint: "shortname,description,priority")
    }
    let description = line.trimmed(reader.index..<comma)
    let priority = line.trimmed((comma &+ 1)..<line.count)
    guard !description.isEmpty else {
      throw RuleValueError("the description is empty", columnOffset: reader.index)
    }
    guard let value = DecimalNumber.parse(line[priority]), (1...255).contains(value) else {
      throw RuleValueError(
        "the priority must be a number between 1 and 255", columnOffset: priority.lowerBound)
    }
    return Entry(name: name, description: line[description].text, priority: UInt8(value))
  }
}
