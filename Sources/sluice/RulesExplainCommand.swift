import ArgumentParser
import Detection
import Engine
import RuleLanguage

struct RulesExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say how a rule is compiled: when it is tried, by what it is found, in which order its steps run.")

  @OptionGroup var options: ConfigurationOptions

  @Flag(name: .long, help: "Print an array of JSON objects.")
  var json = false

  @Argument(
    help: ArgumentHelp("SID or GID:SID of a rule among --rules, or the text of a rule.", valueName: "rule"))
  var rules: [String]

  func run() throws {
    let settings = try options.load(flowSeed: 0)
    var explanations: [RuleExplanation] = []
    do throws(SettingsError) {
      var explainer = try RuleExplainer(settings, paths: options.rules)
      for rule in rules {
        do throws(RuleDiagnostic) { explanations += try explainer.explain(rule) } catch {
          throw SettingsError(Self.text(error, rule))
        }
      }
    } catch {
      throw CommandFailure.input(error.message)
    }
    if json {
      StandardOutput.write("[" + explanations.map(\.json).joined(separator: ",") + "]\n")
    } else {
      StandardOutput.write(explanations.map(\.printed).joined(separator: "\n"))
    }
  }

  /// Of a rule that was given as text the column is all there is to say of the place.
  private static func text(_ diagnostic: RuleDiagnostic, _ rule: String) -> String {
    let hint = diagnostic.hint.map { " (\($0))" } ?? ""
    if diagnostic.line == 0 { return diagnostic.message + hint }
    guard diagnostic.file == "rule" else { return diagnostic.description }
    return "column \(diagnostic.column): \(diagnostic.message)\(hint)"
  }
}
