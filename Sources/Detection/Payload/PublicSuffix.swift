import Traffic

/// The parts of a host name that `domain` and `tld` yield.
///
/// Without a public suffix list the last label counts as the suffix, and two-letter country domains
/// with a customary second level (`co.uk`) as two labels.
enum PublicSuffix {
  private static let secondLevels: Set<String> = [
    "ac", "co", "com", "edu", "gob", "gov", "go", "mil", "ne", "net", "nom", "or", "org", "gv",
  ]

  static func topLevelDomain(_ bytes: RawSpan) -> [UInt8] {
    let labels = labels(bytes)
    let count = suffixLabelCount(labels)
    guard labels.count >= count, count > 0 else { return [] }
    return Array(labels.suffix(count).joined(separator: [0x2e]))
  }

  static func registeredDomain(_ bytes: RawSpan) -> [UInt8] {
    let labels = labels(bytes)
    let count = suffixLabelCount(labels)
    guard labels.count > count else { return [] }
    return Array(labels.suffix(count + 1).joined(separator: [0x2e]))
  }

  private static func labels(_ bytes: RawSpan) -> [ArraySlice<UInt8>] {
    bytes.copied().split(separator: 0x2e)
  }

  private static func suffixLabelCount(_ labels: [ArraySlice<UInt8>]) -> Int {
    guard let last = labels.last else { return 0 }
    if last.count == 2, labels.count >= 3 {
      let second = String(decoding: labels[labels.count - 2], as: UTF8.self).lowercased()
      if secondLevels.contains(second) { return 2 }
    }
    return 1
  }
}
