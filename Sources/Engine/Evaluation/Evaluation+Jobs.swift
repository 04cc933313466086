import Capture
import EventOutput
import Glibc
import Synchronization

extension Evaluation {
  /// Evaluates captures one after the other, or as many at a time as there are jobs; where there are more jobs than
  /// captures, each capture is spread over several by flow. Records stand in the order in which the captures were
  /// named, and are the same, either way.
  ///
  /// - Parameter path: the file that records are written to; it is emptied first.
  public func run(
    _ captures: [String], jobs: Int, to path: String, into summary: inout EvaluationSummary,
    progress: (UInt64, UInt64?) -> Void
  ) throws(SettingsError) {
    let output = try Self.open(path)
    if jobs > 1, captures.count > 1 {
      try runParallel(captures, jobs: jobs, to: path, output, into: &summary)
    } else {
      for capture in captures { summary.add(try run(capture, jobs: jobs, to: path, output, progress)) }
    }
    if output.failureCount > 0 {
      throw SettingsError("\(path): records were lost: \(TextFile.lastError(output.lastError))")
    }
  }

  /// One capture, by one job or several.
  private func run(
    _ capture: String, jobs: Int, to path: String, _ output: FileLineOutput, _ progress: (UInt64, UInt64?) -> Void
  ) throws(SettingsError) -> EvaluationSummary {
    do throws(CaptureError) {
      guard jobs > 1 else { return try run(capture, output: output, progress: progress) }
      var reason = reasonForOneJob(capture)
      var way = SharedEvaluation.Way()
      while reason == nil {
        let shared = SharedEvaluation(self, workers: jobs, way: way, path: path)
        switch try shared.run(capture, output: output, progress: progress) {
        case .done(let summary): return summary
        case .refused(let why): reason = why
        case .again(let other): way = other
        }
      }
      var summary = try run(capture, output: output, progress: progress)
      summary.warnings.insert("\(capture): evaluated by one job: \(reason ?? "")", at: 0)
      return summary
    } catch {
      throw SettingsError(error.description)
    }
  }

  /// Why the jobs cannot have the same output as one, where that is known before.
  private func reasonForOneJob(_ capture: String) -> String? {
    if capture == "-" { return "standard input cannot be read twice, should that be needed" }
    if files != nil { return "stored files are numbered in the order in which they come" }
    if ruleSet.changesDatasets { return "rules change datasets" }
    if settings.inspection.ruleBudget.action != .off { return "a rule budget goes by the clock" }
    if settings.inspection.tracer != nil { return "a rule is traced" }
    return nil
  }

  private static func open(_ path: String) throws(SettingsError) -> FileLineOutput {
    do throws(LineOutputError) {
      return try FileLineOutput(path: path, appends: false)
    } catch {
      throw SettingsError("\(path): cannot be written: \(TextFile.lastError(error.code))")
    }
  }

  /// Each capture writes a file of its own; they are joined in order.
  private func runParallel(
    _ captures: [String], jobs: Int, to path: String, _ output: FileLineOutput,
    into summary: inout EvaluationSummary
  ) throws(SettingsError) {
    let next = Atomic(0)
    let results = Mutex<[Int: Result<EvaluationSummary, SettingsError>]>([:])
    let atOnce = min(jobs, captures.count)
    Workers.runAll(count: atOnce) { _ in
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < captures.count else { return }
        let result = runPart(captures[index], jobs: jobs / atOnce, to: Self.part(index, of: path))
        results.withLock { $0[index] = result }
      }
    }
    let all = results.withLock { $0 }
    defer { for index in captures.indices { unsafe unlink(Self.part(index, of: path)) } }
    for index in captures.indices {
      guard let result = all[index] else { continue }
      summary.add(try result.get())
      if let records = TextFile.read(Self.part(index, of: path)) { output.write(records.rawSpan) }
    }
  }

  private static func part(_ index: Int, of path: String) -> String { "\(path).part\(index)" }

  private func runPart(_ capture: String, jobs: Int, to path: String) -> Result<EvaluationSummary, SettingsError> {
    do throws(SettingsError) {
      let output = try Self.open(path)
      let summary = try run(capture, jobs: jobs, to: path, output) { _, _ in }
      if output.failureCount > 0 {
        throw SettingsError("\(path): records were lost: \(TextFile.lastError(output.lastError))")
      }
      return .success(summary)
    } catch {
      return .failure(error)
    }
  }
}
