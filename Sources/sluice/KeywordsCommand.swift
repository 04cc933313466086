import ArgumentParser
import Detection
import Engine
import RuleLanguage

struct KeywordsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keywords", abstract: "List the keywords that rules may use, or tell all about some.")

  @Flag(name: .long, help: "Print an array of JSON objects.")
  var json = false

  @Flag(name: .long, help: "Print the Markdown of docs/keywords.md.")
  var markdown = false

  @Option(
    name: .long,
    help: "Only keywords of this kind: \(KeywordDescription.Kind.allCases.map(\.rawValue).joined(separator: ", ")).",
    completion: .list(KeywordDescription.Kind.allCases.map(\.rawValue)))
  var kind: String?

  @Argument(
    help: ArgumentHelp("Names of keywords; all when none is given.", valueName: "keyword"),
    completion: .list(KeywordTable.names))
  var names: [String] = []

  func validate() throws {
    if json, markdown { throw ValidationError("--json and --markdown exclude each other") }
    if let kind, KeywordDescription.Kind(rawValue: kind) == nil {
      throw ValidationError("there is no kind \(kind)")
    }
  }

  func run() throws {
    var keywords = KeywordCatalog.all
    if let kind { keywords = keywords.filter { $0.kind.rawValue == kind } }
    if !names.isEmpty {
      keywords = try names.map { name in
        guard let found = KeywordCatalog.description(of: name) else {
          let near = NearMatch.find(name, among: KeywordTable.names).map { "; did you mean \($0)?" } ?? ""
          throw CommandFailure.input("there is no keyword \(name)\(near)")
        }
        return found
      }
    }
    if json {
      StandardOutput.write(KeywordReference.json(keywords) + "\n")
    } else if markdown {
      StandardOutput.write(KeywordReference.markdown(keywords))
    } else if names.isEmpty {
      StandardOutput.write(KeywordReference.text(keywords))
    } else {
      StandardOutput.write(keywords.map(KeywordReference.details).joined(separator: "\n"))
    }
  }
}
