/// Finds URLs in the text of a message as it comes.
///
/// - Limits: a line is looked at in pieces of `lineBytesMax`.
struct MIMELinks {
  private var line: [UInt8] = []
  private let schemes: [[UInt8]]
  private let keepsScheme: Bool
  private let countMax: Int
  private(set) var found: [[UInt8]] = []
  private var known: Set<[UInt8]> = []

  private static let lineBytesMax = 8192
  /// What ends a URL in text and markup: blanks, quotes, angle and square brackets.
  private static let ends: Set<UInt8> = [32, 9, 13, 10, 34, 39, 60, 62, 93]

  init(_ settings: MIMESettings) {
    schemes = settings.extractsURLs ? settings.urlSchemes.map { Array($0.lowercased().utf8) + [58, 47, 47] } : []
    keepsScheme = settings.keepsURLScheme
    countMax = settings.urlCountMax
  }

  mutating func take(_ bytes: [UInt8]) {
    guard !schemes.isEmpty else { return }
    for byte in bytes {
      if byte == 10 || line.count >= Self.lineBytesMax { scan() }
      if byte != 10 { line.append(byte) }
    }
  }

  /// The text is over.
  mutating func finish() { scan() }

  private mutating func scan() {
    defer { line.removeAll(keepingCapacity: true) }
    var i = 0
    while let colon = line[i...].firstIndex(of: 58) {
      i = colon + 1
      guard let scheme = schemes.first(where: { ends(with: $0, at: colon) }) else { continue }
      let start = colon + 3
      var end = start
      while end < line.count, !Self.ends.contains(line[end]) { end += 1 }
      i = end
      guard end > start, found.count < countMax else { continue }
      let url = Array(line[(keepsScheme ? start - scheme.count : start)..<end])
      if known.insert(url).inserted { found.append(url) }
    }
  }

  /// Whether a scheme and its "://" stand around the colon.
  private func ends(with scheme: [UInt8], at colon: Int) -> Bool {
    let start = colon + 3 - scheme.count
    guard start >= 0, colon + 3 <= line.count else { return false }
    return zip(line[start..<colon + 3], scheme).allSatisfy { HTTPText.lower($0) == $1 }
  }
}
