import ArgumentParser
import Engine

struct RulesProfileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile",
    abstract: "Tell which rules cost most on captures: checks, matches, time.",
    discussion: """
      A check is a trial of a rule whose literal was seen and whose header holds. The time is that of the trials; what \
      the search for literals takes belongs to no rule. With each trial timed the clock itself adds about 30 ns to it.
      """)

  @OptionGroup var options: ConfigurationOptions

  @Option(name: .long, help: ArgumentHelp("How many rules are told of.", valueName: "count"))
  var top = 20

  @Option(name: .long, help: ArgumentHelp("One trial in as many is timed.", valueName: "count"))
  var every: UInt32 = 1

  @Flag(name: .long, help: "Print the result as one JSON object.")
  var json = false

  @Argument(help: "pcap or pcapng files (also .gz, .zst), directories, or - for standard input.", completion: .file())
  var captures: [String]

  func validate() throws {
    if !(1...100_000).contains(top) { throw ValidationError("--top takes 1 to 100000") }
    if !(1...65_536).contains(every) { throw ValidationError("--every takes 1 to 65536") }
  }

  func run() throws {
    let settings = try options.load(flowSeed: 0)
    for warning in settings.warnings { StandardError.write("warning: \(warning)\n") }
    let profile: RuleProfile
    do throws(SettingsError) {
      profile = try RuleProfile(settings: settings, paths: options.rules, captures: captures, count: top, period: every)
    } catch {
      throw CommandFailure.input(error.message)
    }
    for warning in profile.warnings { StandardError.write("warning: \(warning)\n") }
    StandardOutput.write(json ? profile.json + "\n" : profile.text)
  }
}
