import ArgumentParser
import Capture
import Detection
import Engine
import Glibc
import RuleLanguage

struct EvalCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval", abstract: "Evaluate stored captures; writes DIR/eve.json.")

  enum Mode: String, ExpressibleByArgument, CaseIterable { case ids, ips }

  @OptionGroup var options: ConfigurationOptions

  @Option(name: .long, help: "ids: alerts only; ips: drops take effect on the rest of the flow.")
  var mode = Mode.ids

  @Option(
    name: .long, help: ArgumentHelp("Directory for eve.json; made when it is missing.", valueName: "directory"),
    completion: .directory)
  var output: String?

  @Option(name: .long, help: 
      ArgumentHelp(
        "Captures evaluated at the same time; more than there are captures spread each of them over several by flow, with the same output.",
        valueName: "count"))
  var jobs = 1

  @Option(
    name: .long,
    help: ArgumentHelp(
      "SID or GID:SID of a rule: tell for each flow, transaction and packet how far it came. Slow.", valueName: "sid"))
  var explain: String?

  @Flag(name: .long, help: "Print the summary as one JSON object, and what --explain tells as JSON lines.")
  var json = false

  @Argument(
    help: "pcap or pcapng files (also .gz, .zst), directories, or - for standard input.", completion: .file())
  var captures: [String]

  func validate() throws {
    if !(1...256).contains(jobs) { throw ValidationError("--jobs takes 1 to 256") }
    if explain != nil, jobs > 1 { throw ValidationError("--explain goes with one job") }
  }

  func run() throws {
    var settings = try options.load(flowSeed: 0)
    settings.prepareForCaptures(isInline: mode == .ips)
    for warning in settings.warnings { StandardError.write("warning: \(warning)\n") }
    let started = MonotonicClock.seconds()
    let shared = SharedDetectionState()
    let rules = try loadRules(settings, shared)
    settings.inspection.tracer = try tracer(settings, rules)
    var summary = EvaluationSummary()
    summary.loadSeconds = MonotonicClock.seconds() - started
    let directory = output ?? settings.outputs.directory
    do throws(SettingsError) {
      let path = try TextFile.path(settings.outputs.fileName, in: directory)
      let evaluation = Evaluation(
        settings: settings, ruleSet: rules.ruleSet, names: shared.names,
        files: try settings.outputs.openFileStore(in: directory))
      try evaluate(evaluation, path, &summary)
    } catch {
      throw CommandFailure.input(error.message)
    }
    summary.runSeconds = MonotonicClock.seconds() - started - summary.loadSeconds
    for warning in summary.warnings { StandardError.write("warning: \(warning)\n") }
    if let tracer = settings.inspection.tracer {
      StandardOutput.write(json ? TraceReport.jsonLines(tracer) : TraceReport.text(tracer) + "\n")
    }
    StandardOutput.write(json ? summary.json + "\n" : summary.text)
    // All is written. To take tens of thousands of rules apart one by one would cost as much as 20,000 packets.
    Glibc.exit(EXIT_SUCCESS)
  }

  /// What watches the rule that `--explain` names.
  private func tracer(_ settings: Settings, _ rules: LoadedRules) throws -> RuleTracer? {
    guard let explain else { return nil }
    var explainer: RuleExplainer
    do throws(SettingsError) {
      explainer = try RuleExplainer(settings, paths: options.rules)
    } catch {
      throw CommandFailure.input(error.message)
    }
    let found: [RuleExplanation]
    do throws(RuleDiagnostic) { found = try explainer.explain(explain) } catch {
      throw CommandFailure.input(error.message)
    }
    guard let explanation = found.first, let tracer = RuleTracer(explanation, in: rules.ruleSet) else {
      throw CommandFailure.input("no rule \(explain) is loaded")
    }
    return tracer
  }

  private func loadRules(_ settings: Settings, _ shared: SharedDetectionState) throws -> LoadedRules {
    do throws(SettingsError) {
      let rules = try RuleLoader.load(settings, paths: options.rules, shared: shared)
      for diagnostic in rules.diagnostics { StandardError.write(diagnostic.printed) }
      return rules
    } catch {
      throw CommandFailure.input(error.message)
    }
  }

  private func evaluate(
    _ evaluation: Evaluation, _ path: String, _ summary: inout EvaluationSummary
  ) throws(SettingsError) {
    var bar = ProgressBar()
    defer { bar.clear() }
    try evaluation.run(captures, jobs: jobs, to: path, into: &summary) { done, total in
      bar.show(done, of: total)
    }
  }
}

extension EvaluationSummary {
  var json: String {
    """
    {"load_seconds":\(loadSeconds),"run_seconds":\(runSeconds),"packets":\(packets),"bytes":\(bytes),\
    "flows":\(flows),"alerts":\(alerts),"drops":\(drops),"peak_rss_bytes":\(Self.peakResidentBytes)}
    """
  }

  var text: String {
    """
    \(packets) packets, \(bytes) bytes, \(flows) flows
    \(alerts) alerts, \(drops) drops
    loaded in \(Self.rounded(loadSeconds)) s, ran \(Self.rounded(runSeconds)) s, \
    \(Self.peakResidentBytes / 1_048_576) MiB resident at most

    """
  }

  private static func rounded(_ seconds: Double) -> String { "\((seconds * 100).rounded() / 100)" }
}
