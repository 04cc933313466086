import AppLayer
import RuleLanguage
import Traffic

/// Digests of files that a rule names by `filemd5`, `filesha1` or `filesha256`: sorted, one after the other.
///
/// - Source: Suricata "File Keywords": one digest in hex a line, perhaps with more text behind a blank;
///   lines that begin with `#` are comments.
struct FileHashList: Sendable {
  private let octets: [UInt8]
  private let width: Int

  /// - Parameter width: octets of a digest.
  init(lines bytes: [UInt8], width: Int, file: String) throws(RuleValueError) {
    var digests: [[UInt8]] = []
    for (number, line) in bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
      let word = line.drop { $0 == 32 || $0 == 9 }.prefix { $0 > 32 }
      if word.isEmpty || word.first == UInt8(ascii: "#") { continue }
      guard word.count == width * 2, let digest = Self.octets(word) else {
        throw RuleValueError("\(file), line \(number + 1): no digest of \(width * 2) hexadecimal digits")
      }
      digests.append(digest)
    }
    digests.sort { $0.lexicographicallyPrecedes($1) }
    octets = digests.flatMap { $0 }
    self.width = width
  }

  private static func octets(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    var high: UInt8?
    for byte in text {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
      if let first = high {
        result.append(first << 4 | UInt8(digit))
        high = nil
      } else {
        high = UInt8(digit)
      }
    }
    return result
  }

  func contains(_ digest: [UInt8]) -> Bool {
    guard digest.count == width else { return false }
    var low = 0
    var high = octets.count / width
    while low < high {
      let middle = (low + high) / 2
      let place = octets[middle * width..<(middle + 1) * width]
      if place.elementsEqual(digest) { return true }
      if place.lexicographicallyPrecedes(digest) { low = middle + 1 } else { high = middle }
    }
    return false
  }
}

/// What a rule asks of one file of a transaction; all that a rule asks must hold of the same file.
enum FileCondition: Sendable {
  /// There is a file (`filestore`).
  case exists
  case size(NumericCondition)
  case digest(Digest, FileHashList, isNegated: Bool)

  func holds(_ file: TransferFile) -> Bool {
    switch self {
    case .exists: return true
    case .size(let condition):
      switch file.state {
      case .open: return false
      case .closed: return condition.holds(for: file.sizeBytes)
      case .truncated:
        // It is longer than what was seen of it.
        switch condition {
        case .greater, .greaterOrEqual: return condition.holds(for: file.sizeBytes)
        default: return false
        }
      }
    case .digest(let kind, let list, let isNegated):
      guard file.state == .closed else { return false }
      let digest =
        switch kind {
        case .md5: file.md5
        case .sha1: file.sha1
        case .sha256: file.sha256
        }
      guard let digest, !digest.isEmpty else { return false }
      return list.contains(digest) != isNegated
    }
  }

  /// What must be found out about files for it.
  var needs: FileNeeds {
    switch self {
    case .exists, .size: []
    case .digest(.md5, _, _): .md5
    case .digest(.sha1, _, _): .sha1
    case .digest(.sha256, _, _): .sha256
    }
  }
}

/// `filestore`: which files are stored when the rule matches.
struct FileStoreAction: Sendable, Hashable {
  var scope = FileStoreScope.file
  /// nil stands for the direction in which the rule matched.
  var directions: [Direction]?
}
