import Capture
import Detection
import EventOutput
import Inspection

/// What rules cost on captures, the dearest first.
public struct RuleProfile: Sendable {
  public private(set) var rules: [RuleCost] = []
  /// Rules that were tried at all.
  public private(set) var ruleCount = 0
  public private(set) var packets: UInt64 = 0
  public private(set) var warnings: [String] = []
  /// Of the run, and of it in trials of rules.
  public private(set) var runSeconds = 0.0
  public private(set) var trialSeconds = 0.0

  /// Nothing is written, so that rules and what leads to them are all that is measured.
  private final class Silence: EventSink {
    func emit(_ event: Event, _ context: borrowing EventContext, bytes: RawSpan) {}
  }

  /// - Parameters:
  ///   - paths: of rules beside those that the settings name.
  ///   - count: of the dearest.
  ///   - period: one trial in as many is timed.
  public init(
    settings: Settings, paths: [String], captures: [String], count: Int, period: UInt32
  ) throws(SettingsError) {
    var settings = settings
    settings.prepareForCaptures(isInline: false)
    settings.inspection.logs = LogSelection()
    let shared = SharedDetectionState()
    let loaded = try RuleLoader.load(settings, paths: paths, shared: shared)
    for diagnostic in loaded.diagnostics where diagnostic.severity == .error { warnings.append(diagnostic.description) }
    let started = MonotonicClock.seconds()
    var costs = RuleCosts()
    for capture in captures {
      var path = PacketPath(
        settings: settings.inspection, ruleSet: loaded.ruleSet, shared: SharedDetectionState(names: shared.names),
        sink: Silence())
      path.timeRules(oneIn: period)
      do throws(CaptureError) {
        var source = try PcapFileSource(path: capture)
        while try source.next({ packet in
          _ = path.process(packet.bytes, link: packet.linkType, time: packet.time, length: packet.originalLength)
          packets &+= 1
        }) {}
        warnings += source.warnings.map(\.description)
      } catch {
        throw SettingsError(error.description)
      }
      path.finish()
      costs.add(path.ruleCosts)
    }
    runSeconds = MonotonicClock.seconds() - started
    trialSeconds = costs.nanoseconds / 1e9
    ruleCount = costs.byRule.count
    rules = costs.dearest(count)
  }

  public var text: String {
    """
    \(packets) packets in \(Self.rounded(runSeconds)) s, of which \(Self.rounded(trialSeconds)) s in trials of \(ruleCount) rules

    """ + RuleTable.text(rules, of: trialSeconds * 1e9)
  }

  private static func rounded(_ seconds: Double) -> String { "\((seconds * 1000).rounded() / 1000)" }

  public var json: String {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("packets", packets)
    writer.member("rules_tried", ruleCount)
    writer.member("run_ns", UInt64(runSeconds * 1e9))
    writer.member("trial_ns", UInt64(trialSeconds * 1e9))
    writer.beginArray("rules")
    for rule in rules { RuleTable.write(rule, &writer) }
    writer.endArray()
    writer.endObject()
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

/// Rules with what they cost, in the words of Suricata's rule profiling where it has them.
public enum RuleTable {
  private static let titles = ["Num", "Rule", "Gid", "Rev", "Time ms", "%", "Checks", "Matches", "Max us", "Avg us"]

  /// - Parameter nanoseconds: of all rules, for the percentages.
  public static func text(_ rules: [RuleCost], of nanoseconds: Double) -> String {
    let rows = rules.enumerated().map { index, rule in
      [
        "\(index + 1)", "\(rule.sid)", "\(rule.gid)", "\(rule.rev)", fixed(rule.nanoseconds / 1e6, 2),
        fixed(nanoseconds > 0 ? rule.nanoseconds / nanoseconds * 100 : 0, 1), "\(rule.checks)", "\(rule.matches)",
        fixed(Double(rule.nanosecondsMax) / 1e3, 1), rule.timed > 0 ? fixed(rule.nanosecondsMean / 1e3, 2) : "-",
      ]
    }
    let widths = titles.indices.map { column in ([titles] + rows).map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String], _ last: String) -> String {
      zip(cells, widths).map { String(repeating: " ", count: max(0, $1 - $0.count)) + $0 }.joined(separator: "  ") + "  " + last
        + "\n"
    }
    return line(titles, "Message") + zip(rows, rules).map { line($0, $1.message) }.joined()
  }

  private static func fixed(_ value: Double, _ digits: Int) -> String {
    let factor = (0..<digits).reduce(1) { product, _ in product * 10 }
    let whole = Int((value * Double(factor)).rounded())
    let rest = "\(whole % factor)"
    return "\(whole / factor)." + String(repeating: "0", count: max(0, digits - rest.count)) + rest
  }

  static func write(_ rule: RuleCost, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("signature_id", rule.sid)
    writer.member("gid", rule.gid)
    writer.member("rev", rule.rev)
    writer.member("signature", text: rule.message)
    writer.member("checks", rule.checks)
    writer.member("matches", rule.matches)
    writer.member("timed_checks", rule.timed)
    writer.member("time_ns", UInt64(rule.nanoseconds))
    writer.member("max_ns", rule.nanosecondsMax)
    writer.member("avg_ns", UInt64(rule.nanosecondsMean))
    writer.endObject()
  }
}
