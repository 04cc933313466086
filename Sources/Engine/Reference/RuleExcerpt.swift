import RuleLanguage

/// Shows the line that a diagnostic is about, with a caret below the column.
///
/// Keeps each file's bytes from its first use on.
public struct RuleExcerpt {
  /// Octets of a longer line that are shown, around the column.
  static let widthBytes = 100

  private var files: [String: [UInt8]] = [:]

  public init() {}

  /// Two lines; empty where the place cannot be shown.
  public mutating func text(_ diagnostic: RuleDiagnostic) -> String {
    guard diagnostic.line > 0, diagnostic.column > 0, let line = line(diagnostic.line, of: diagnostic.file) else {
      return ""
    }
    let number = String(diagnostic.line)
    let gap = String(repeating: " ", count: number.utf8.count)
    let (shown, caret) = Self.window(line, column: diagnostic.column)
    let pad = String(repeating: " ", count: caret)
    return " \(number) | \(shown)\n \(gap) | \(pad)^\n"
  }

  private mutating func line(_ number: Int, of file: String) -> ArraySlice<UInt8>? {
    if files[file] == nil { files[file] = TextFile.read(file) ?? [] }
    guard let bytes = files[file], !bytes.isEmpty else { return nil }
    var current = 1
    var start = 0
    while current < number {
      guard let end = bytes[start...].firstIndex(of: 10) else { return nil }
      start = end + 1
      current += 1
    }
    let end = bytes[start...].firstIndex(of: 10) ?? bytes.count
    return bytes[start..<end]
  }

  /// The part of the line around the column, and where the caret stands below it.
  static func window(_ line: ArraySlice<UInt8>, column: Int) -> (text: String, caret: Int) {
    let place = min(column - 1, line.count)
    let from = line.count <= widthBytes ? 0 : max(0, min(place - widthBytes / 2, line.count - widthBytes))
    let to = min(line.count, from + widthBytes)
    let part = line[(line.startIndex + from)..<(line.startIndex + to)]
    var text = from > 0 ? "…" : ""
    // One character for each octet, so that the caret stands right.
    for byte in part { text.unicodeScalars.append((0x20...0x7e).contains(byte) ? Unicode.Scalar(byte) : "·") }
    if to < line.count { text += "…" }
    return (text, place - from + (from > 0 ? 1 : 0))
  }
}
