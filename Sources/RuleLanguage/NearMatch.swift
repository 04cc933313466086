/// Suggests what may have been meant by a word that is not known.
public enum NearMatch {
  /// Words longer than this get no suggestion: the work grows with the square of the length.
  static let wordBytesMax = 64

  /// The candidate closest to `word` by edits of one byte, if at most a third of the word must change.
  public static func find(_ word: String, among candidates: some Sequence<String>) -> String? {
    let bytes = ASCII.lowercased(word.utf8)
    guard !bytes.isEmpty, bytes.count <= wordBytesMax else { return nil }
    var best: (name: String, distance: Int)?
    let limit = max(1, bytes.count / 3)
    for candidate in candidates where abs(candidate.utf8.count - bytes.count) <= limit {
      let distance = distance(bytes, ASCII.lowercased(candidate.utf8))
      guard distance <= limit else { continue }
      if let known = best, (known.distance, known.name) <= (distance, candidate) { continue }
      best = (candidate, distance)
    }
    return best?.name
  }

  static func hint(for word: String, among candidates: some Sequence<String>) -> String? {
    find(word, among: candidates).map { "did you mean \($0)?" }
  }

  /// Levenshtein distance, in two rows.
  private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var previous = Array(0...right.count)
    var current = previous
    for (row, byte) in left.enumerated() {
      current[0] = row + 1
      for (column, other) in right.enumerated() {
        let replaced = previous[column] + (byte == other ? 0 : 1)
        current[column + 1] = min(replaced, previous[column + 1] + 1, current[column] + 1)
      }
      swap(&previous, &current)
    }
    return previous[right.count]
  }
}
