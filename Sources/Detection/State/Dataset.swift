import Synchronization
import Traffic

/// What the values of a dataset are.
public enum DatasetKind: String, Sendable, CaseIterable {
  case string, md5, sha256, ipv4, ip
}

/// A named set of values that rules look buffers up in (`dataset`, `datarep`), and may add to.
///
/// - Source: Suricata "Datasets".
/// - Limits: values take at most `memcapBytes`; one more is refused and counted.
final class Dataset: Sendable {
  /// What is known of one value besides that it is there.
  struct Entry: Sendable {
    /// For `datarep`.
    var reputation: UInt16?
    /// JSON text for the alert; empty without.
    var context: [UInt8] = []
  }

  private struct Content {
    var entries: [[UInt8]: Entry] = [:]
    var bytes = 0
    var refused: UInt64 = 0
  }

  /// What a value costs beyond its octets, about.
  private static let overheadBytes = 64
  static let memcapDefault = 100 << 20

  let name: String
  let kind: DatasetKind
  let memcapBytes: Int
  private let content: Mutex<Content>

  init(name: String, kind: DatasetKind, memcapBytes: Int = Dataset.memcapDefault) {
    self.name = name
    self.kind = kind
    self.memcapBytes = memcapBytes
    content = Mutex(Content())
  }

  var count: Int { content.withLock { $0.entries.count } }
  /// Values refused because the set was full.
  var refusedCount: UInt64 { content.withLock { $0.refused } }

  /// The form in which values are kept; nil for a buffer that cannot be one.
  func key(_ bytes: RawSpan) -> [UInt8]? {
    switch kind {
    case .string: return bytes.byteCount > 0 ? bytes.copied() : nil
    case .md5: return bytes.byteCount == 16 ? bytes.copied() : nil
    case .sha256: return bytes.byteCount == 32 ? bytes.copied() : nil
    case .ipv4: return bytes.byteCount == 4 ? bytes.copied() : nil
    case .ip:
      guard bytes.byteCount == 4 || bytes.byteCount == 16 else { return nil }
      return Self.address(bytes.copied())
    }
  }

  /// IPv4 in IPv6 is the IPv4 address.
  private static func address(_ bytes: [UInt8]) -> [UInt8] {
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
    return bytes.count == 16 && Array(bytes[..<12]) == mapped ? Array(bytes[12...]) : bytes
  }

  /// The value as files spell it.
  /// - Parameter isPlain: strings stand as they are, as in JSON, not in Base64.
  func key(text: [UInt8], isPlain: Bool) -> [UInt8]? {
    switch kind {
    case .string:
      if isPlain { return text.isEmpty ? nil : text }
      var decoded: [UInt8] = []
      Base64.decode(text.rawSpan, skippingBlanks: false, into: &decoded)
      return decoded.isEmpty ? nil : decoded
    case .md5: return HexDigits.bytes(text, count: 16)
    case .sha256: return HexDigits.bytes(text, count: 32)
    case .ipv4, .ip:
      guard let address = IPAddress(String(decoding: text, as: UTF8.self)) else { return nil }
      let octets = address.networkBytes
      return kind == .ip || octets.count == 4 ? octets : nil
    }
  }

  func entry(_ key: [UInt8]) -> Entry? { content.withLock { $0.entries[key] } }

  /// The entry of the name or of one above it: each part behind a dot, dot included.
  func entryOfDomain(_ key: [UInt8]) -> Entry? {
    content.withLock { content in
      if let entry = content.entries[key] { return entry }
      for index in key.indices.dropFirst() where key[index] == UInt8(ascii: ".") {
        if let entry = content.entries[Array(key[index...])] { return entry }
      }
      return nil
    }
  }

  /// - Returns: false when it was there already, or there is no room.
  @discardableResult
  func add(_ key: [UInt8], _ entry: Entry = Entry()) -> Bool {
    content.withLock { content in
      if content.entries[key] != nil { return false }
      let cost = key.count + entry.context.count + Self.overheadBytes
      guard content.bytes + cost <= memcapBytes else {
        content.refused &+= 1
        return false
      }
      content.entries[key] = entry
      content.bytes += cost
      return true
    }
  }

  /// - Returns: whether it was there.
  func remove(_ key: [UInt8]) -> Bool {
    content.withLock { content in
      guard let old = content.entries.removeValue(forKey: key) else { return false }
      content.bytes -= key.count + old.context.count + Self.overheadBytes
      return true
    }
  }

  // MARK: Files

  /// Takes the lines of a file: a value each, perhaps a comma and its reputation.
  /// - Returns: the number of the first line that is no value; nil when all are.
  func load(lines bytes: [UInt8]) -> Int? {
    for (number, line) in bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
      let line = Self.trimmed(line)
      if line.isEmpty { continue }
      let comma = line.firstIndex(of: UInt8(ascii: ","))
      guard let key = key(text: Self.trimmed(line[..<(comma ?? line.endIndex)]).map(\.self), isPlain: false)
      else { return number + 1 }
      var entry = Entry()
      if let comma {
        let text = String(decoding: Self.trimmed(line[(comma + 1)...]), as: UTF8.self)
        guard let reputation = UInt16(text) else { return number + 1 }
        entry.reputation = reputation
      }
      add(key, entry)
    }
    return nil
  }

  static func trimmed(_ slice: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var slice = slice
    while let last = slice.last, last == 13 || last == 32 || last == 9 { slice.removeLast() }
    while let first = slice.first, first == 32 || first == 9 { slice.removeFirst() }
    return slice
  }

  /// All values in the form of files, sorted.
  func lines() -> [UInt8] {
    let keys = content.withLock { $0.entries.map { ($0.key, $0.value.reputation) } }
    var lines = keys.map { key, reputation -> [UInt8] in
      spelled(key) + (reputation.map { Array(",\($0)".utf8) } ?? []) + [10]
    }
    lines.sort { $0.lexicographicallyPrecedes($1) }
    return Array(lines.joined())
  }

  private func spelled(_ key: [UInt8]) -> [UInt8] {
    switch kind {
    case .string: return Base64.encoded(key)
    case .md5, .sha256: return HexDigits.text(key)
    case .ipv4, .ip:
      if key.count == 4 { return Array(key.map(String.init).joined(separator: ".").utf8) }
      let words = stride(from: 0, to: key.count - 1, by: 2).map {
        String(UInt16(key[$0]) << 8 | UInt16(key[$0 + 1]), radix: 16)
      }
      return Array(words.joined(separator: ":").utf8)
    }
  }
}

/// Octets as two hexadecimal digits each.
enum HexDigits {
  static func bytes(_ text: [UInt8], count: Int) -> [UInt8]? {
    guard text.count == count * 2 else { return nil }
    var result: [UInt8] = []
    result.reserveCapacity(count)
    for index in stride(from: 0, to: text.count, by: 2) {
      guard let high = value(text[index]), let low = value(text[index + 1]) else { return nil }
      result.append(high << 4 | low)
    }
    return result
  }

  static func text(_ bytes: [UInt8]) -> [UInt8] {
    let digits = Array("0123456789abcdef".utf8)
    return bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
  }

  static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x61...0x66: byte - 0x61 + 10
    case 0x41...0x46: byte - 0x41 + 10
    default: nil
    }
  }
}
