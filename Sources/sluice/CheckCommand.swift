import ArgumentParser
import Detection
import Engine
import EventOutput
import RuleLanguage

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
      for diagnostic in rules.diagnostics { StandardError.write(diagnostic.printed) }
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
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    writer.endObject()
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}
