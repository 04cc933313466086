import Capture
import EventOutput
import Glibc
import Synchronization

extension Evaluation {
  /// Evaluates captures one after the other or `jobs` at a time; records stand in the order in which
  /// the captures were named either way.
  ///
  /// - Parameter path: the file that records are written to; it is emptied first.
  public func run(
    _ captures: [String], jobs: Int, to path: String, into summary: inout EvaluationSummary,
    progress: (UInt64, UInt64?) -> Void
  ) throws(SettingsError) {
    let output = try Self.open(path)
    if jobs > 1, captures.count > 1 {
      try runParallel(captures, jobs: min(jobs, captures.count), to: path, output, into: &summary)
    } else {
      for capture in captures {
        do throws(CaptureError) {
          summary.add(try run(capture, output: output, progress: progress))
        } catch {
          throw SettingsError(error.description)
        }
      }
    }
    if output.failureCount > 0 {
      throw SettingsError("\(path): records were lost: \(TextFile.lastError(output.lastError))")
    }
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
    Workers.runAll(count: jobs) { _ in
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < captures.count else { return }
        let result = runPart(captures[index], to: Self.part(index, of: path))
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

  private func runPart(_ capture: String, to path: String) -> Result<EvaluationSummary, SettingsError> {
    do throws(SettingsError) {
      let output = try Self.open(path)
      do throws(CaptureError) {
        return .success(try run(capture, output: output))
      } catch {
        return .failure(SettingsError(error.description))
      }
    } catch {
      return .failure(error)
    }
  }
}
