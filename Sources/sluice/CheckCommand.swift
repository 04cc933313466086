import ArgumentParser
import Detection
import Engine
import EventOutput
import RuleLanguage

extension [RuleDiagnostic] {
  /// By file as they were given, then by line and column.
  fileprivate func inFileOrder(_ files: [String]) -> [RuleDiagnostic] {
    var ranks: [String: Int] = [:]
    for (rank, file) in files.enumerated() where ranks[file] == nil { ranks[file] = rank }
    return sorted { left, right in
      (ranks[left.file] ?? -1, left.line, left.column) < (ranks[right.file] ?? -1, right.line, right.column)
    }
  }
}

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check configuration and rules; says which rules are refused, and why.")

  @OptionGroup var options: ConfigurationOptions

  @Flag(name: .long, help: "Exit with 1 when a rule is refused or anything is warned of.")
  var strict = false

  @Flag(name: .long, help: "Print the result as one JSON object.")
  var json = false

  func run() throws {
    let settings = try options.load(flowSeed: 0)
    let rules: LoadedRules
    do throws(SettingsError) {
      rules = try RuleLoader.load(settings, paths: options.rules, shared: SharedDetectionState())
    } catch {
      throw CommandFailure.input(error.message)
    }
    for warning in settings.warnings { StandardError.write("warning: \(warning)\n") }
    let refused = rules.diagnostics.filter { $0.severity == .error }
    if json {
      StandardOutput.write(Self.json(rules, refused) + "\n")
    } else {
      var excerpt = RuleExcerpt()
      for diagnostic in rules.diagnostics.inFileOrder(rules.files) {
        StandardError.write(diagnostic.printed + excerpt.text(diagnostic))
      }
      StandardOutput.write("\(rules.total) rules, \(rules.loaded) loaded, \(refused.count) refused\n")
    }
    let isClean = refused.isEmpty && settings.warnings.isEmpty && rules.diagnostics.isEmpty
    if strict && !isClean || rules.total > 0 && rules.loaded == 0 {
      throw ExitCode(1)
    }
  }

  private static func json(_ rules: LoadedRules, _ refused: [RuleDiagnostic]) -> String {
    var writer = JSONWriter()
    writer.beginObject()
    writer.beginObject("rules")
    writer.key("total")
    writer.number(rules.total)
    writer.key("loaded")
    writer.number(rules.loaded)
    writer.beginArray("refused")
    for diagnostic in refused {
      writer.beginObject()
      writer.key("file")
      writer.string(text: diagnostic.file)
      writer.key("line")
      writer.number(diagnostic.location.line)
      writer.key("column")
      writer.number(diagnostic.location.column)
      if let sid = diagnostic.sid {
        writer.key("sid")
        writer.number(sid)
      }
      writer.key("reason")
      writer.string(text: diagnostic.message)
      if let hint = diagnostic.hint { writer.member("hint", text: hint) }
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    writer.endObject()
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}
