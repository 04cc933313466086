import Detection
import Inspection
import RuleLanguage
import Synchronization
import Traffic

/// Runs the tests that stand beside rules, each against all rules given and with nothing remembered.
///
/// What other rules do with a test's traffic is not judged. Rules alert as in `eval --mode ids`, so that
/// a drop does not hide what comes after it.
public struct RuleTestRun: Sendable {
  private let inspection: InspectionSettings
  private let rules: LoadedRules
  private let names: VariableNames
  /// By file and line: why a rule is not in the set, and its sid.
  private let refusals: [Place: RuleDiagnostic]
  private let sids: [Place: UInt32]
  private let blocks: [FileBlock]

  private struct Place: Hashable, Sendable {
    var file: String
    var line: Int
  }

  private struct FileBlock: Sendable {
    var file: String
    var block: RuleTestBlock
  }

  /// Tests see few flows: a small table is made anew faster.
  private static let flowCountMax = 64

  /// Loads the rules and reads their tests.
  ///
  /// - Parameter paths: files, directories or patterns; rules that the configuration names are left out.
  /// - Throws: where a file cannot be read.
  public init(settings: Settings, paths: [String]) throws(SettingsError) {
    var settings = settings
    settings.rules.files = []
    settings.prepareForCaptures(isInline: false)
    let shared = SharedDetectionState()
    rules = try RuleLoader.load(settings, paths: paths, shared: shared)
    guard !rules.files.isEmpty else {
      throw SettingsError("\(paths.joined(separator: ", ")): holds no rule file")
    }
    names = shared.names
    var inspection = settings.inspection
    inspection.flows.flowCountMax = Self.flowCountMax
    inspection.logs.anomalies = false
    inspection.logs.drops = false
    inspection.logs.flows = false
    inspection.logs.transactions = []
    self.inspection = inspection

    var refusals: [Place: RuleDiagnostic] = [:], sids: [Place: UInt32] = [:], blocks: [FileBlock] = []
    var seen: Set<String> = []
    for file in rules.files where seen.insert(file).inserted {
      guard let bytes = TextFile.read(file) else {
        throw SettingsError("\(file): cannot be read: \(TextFile.lastError())")
      }
      for rule in RuleFile.parse(bytes, fileName: file).rules {
        sids[Place(file: file, line: rule.location.line)] = rule.sid
      }
      blocks += RuleTestFile.parse(bytes).map { FileBlock(file: file, block: $0) }
    }
    for diagnostic in rules.diagnostics where diagnostic.severity == .error {
      refusals[Place(file: diagnostic.file, line: diagnostic.line)] = diagnostic
    }
    self.refusals = refusals
    self.sids = sids
    self.blocks = blocks
  }

  /// Runs all tests; failures come in the order of the files.
  public func run() -> RuleTestReport {
    var report = RuleTestReport()
    for entry in blocks { run(entry, into: &report) }
    return report
  }

  /// Rules that fire otherwise where a test's TCP connection is cut into other segments.
  struct CuttingDifference {
    var place: String
    var cutting: TestCutting
    var whole: Set<UInt32>
    var cut: Set<UInt32>
  }

  /// Runs the tests on TCP connections once more with each way to cut them.
  ///
  /// - Returns: where that made a difference, and how many runs were compared.
  func compareCuttings() throws(RuleTestProblem) -> (differences: [CuttingDifference], count: Int) {
    var differences: [CuttingDifference] = []
    var count = 0
    for entry in blocks {
      for test in entry.block.tests {
        let packets = try test.packets()
        let whole = fire(packets)
        for cutting in TestCutting.allCases where cutting != .large {
          let others = try test.packets(cutting: cutting)
          guard others != packets else { continue }
          count += 1
          let cut = fire(others)
          guard cut != whole else { continue }
          differences.append(
            CuttingDifference(
              place: "\(entry.file):\(test.line)", cutting: cutting, whole: whole, cut: cut))
        }
      }
    }
    return (differences, count)
  }

  private func run(_ entry: FileBlock, into report: inout RuleTestReport) {
    let places = (entry.block.ruleLines.map(Array.init) ?? []).map { Place(file: entry.file, line: $0) }
    let refusal = places.lazy.compactMap { refusals[$0] }.first
    let sid = places.lazy.compactMap { sids[$0] }.first ?? refusal?.sid
    for problem in entry.block.problems {
      report.failures.append(
        RuleTestFailure(file: entry.file, line: problem.line, sid: sid, reason: problem.message))
    }
    for test in entry.block.tests {
      var failure = RuleTestFailure(
        file: entry.file, line: test.line, sid: sid, kind: test.kind.rawValue,
        expected: test.expectation.rawValue, text: test.view)
      if let refusal {
        failure.reason = "the rule was refused: \(refusal.message)"
      } else if let sid {
        do throws(RuleTestProblem) {
          let fired = fire(try test.packets())
          if fired.contains(sid) == (test.expectation == .alert) {
            report.passed += 1
            continue
          }
          failure.fired = fired.sorted()
        } catch {
          failure.reason = error.message
        }
      } else {
        failure.reason = "the rule below cannot be read"
      }
      report.failures.append(failure)
    }
  }

  /// The rules that fire on the packets.
  private func fire(_ packets: [TestPacket]) -> Set<UInt32> {
    let collector = AlertCollector()
    var path = PacketPath(
      settings: inspection, ruleSet: rules.ruleSet, shared: SharedDetectionState(names: names),
      sink: collector)
    for packet in packets {
      _ = path.process(packet.bytes.rawSpan, link: packet.link, time: packet.time)
    }
    path.finish()
    return collector.sids
  }
}

extension RuleTest {
  /// What a person knows the test by.
  fileprivate var view: String {
    let values = keys.sorted { $0.key < $1.key }.map { "\($0.key)=\(RuleTestText.view($0.value))" }
    return (values + parts.filter { !$0.isEmpty }.map { RuleTestText.view($0) }).joined(separator: " ")
  }
}
