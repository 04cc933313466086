/// What `reference` may name: `config reference: system URL`.
///
/// - Source: Suricata reference.config. Names ignore case.
public struct ReferenceFile: Sendable {
  /// URL prefixes by system, in lower case.
  public private(set) var prefixes: [String: String] = [:]
  public private(set) var diagnostics: [RuleDiagnostic] = []

  /// The URL prefix of a system, named in any case.
  public func prefix(_ system: String) -> String? { prefixes[ASCII.lowercased(system.utf8).text] }

  public static func parse(_ bytes: [UInt8], fileName: String) -> ReferenceFile {
    var file = ReferenceFile()
    var lines = ConfigurationLines(bytes, fileName: fileName)
    while let line = lines.next() {
      do throws(RuleValueError) {
        let (system, prefix) = try parse(line.bytes)
        guard file.prefixes[system] == nil else {
          file.diagnostics.append(line.diagnostic(RuleValueError("\(system) is already defined"), .warning))
          continue
        }
        file.prefixes[system] = prefix
      } catch { file.diagnostics.append(line.diagnostic(error)) }
    }
    return file
  }

  private static func parse(_ line: [UInt8]) throws(RuleValueError) -> (String, String) {
    var reader = RuleValueReader(line)
    try reader.takeConfig("reference")
    let system = try reader.takeName()
    let offset = reader.index
    reader.skipBlanks()
    guard reader.index > offset else {
      throw RuleValueError("the URL prefix is missing", columnOffset: offset)
    }
    let prefix = reader.takeWhile { !ASCII.isSpace($0) }
    guard !prefix.isEmpty else {
      throw RuleValueError("the URL prefix is missing", columnOffset: offset)
    }
    try reader.finish()
    return (system, prefix.text)
  }
}
