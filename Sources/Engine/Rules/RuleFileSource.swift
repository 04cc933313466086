import RuleLanguage
import Synchronization

/// Rule files one after the other, read piece by piece while the pieces before are compiled.
final class RuleFileSource: Sendable {
  private struct State {
    /// Those not begun, the next one last.
    var paths: [String]
    var file: TextFileReader?
    var cutter: RuleFileCutter?
    var buffer = [UInt8](repeating: 0, count: RuleFilePiece.bytesWanted)
    var failure: SettingsError?
  }

  private let state: Mutex<State>

  /// - Throws: where one cannot be opened, before any is read.
  init(_ paths: [String]) throws(SettingsError) {
    for path in paths where TextFileReader(path) == nil { throw Self.unreadable(path) }
    state = Mutex(State(paths: paths.reversed()))
  }

  /// Why reading ended before the last file did.
  var failure: SettingsError? { state.withLock { $0.failure } }

  /// The next piece, nil at the end of the last file or where one cannot be read further.
  func next() -> RuleFilePiece? { state.withLock { Self.next(&$0) } }

  private static func next(_ state: inout State) -> RuleFilePiece? {
    while state.failure == nil {
      if let piece = state.cutter?.next() { return piece }
      guard let file = state.file else {
        guard let path = state.paths.popLast() else { return nil }
        state.file = TextFileReader(path)
        state.cutter = RuleFileCutter(fileName: path)
        if state.file == nil { state.failure = unreadable(path) }
        continue
      }
      guard let count = file.read(into: &state.buffer) else {
        state.failure = unreadable(file.path)
        continue
      }
      if count > 0 {
        state.cutter?.add(state.buffer[..<count])
      } else {
        state.cutter?.finish()
        state.file = nil
      }
    }
    return nil
  }

  private static func unreadable(_ path: String) -> SettingsError {
    SettingsError("\(path): cannot be read: \(TextFile.lastError())")
  }
}
