/// Undoes the ways in which a request target can be written, as the server in question would.
///
/// - Source: RFC 3986 sections 2.1 and 5.2.4; `%u` and best fit as IIS does; the settings of each
///   server as Suricata's personalities have them.
struct HTTPDecoding {
  private let convertsBackslash: Bool
  private let compressesSlashes: Bool
  private let decodesSlashes: Bool
  private let decodesU: Bool
  private let usesBestFit: Bool

  init(_ settings: HTTPSettings) {
    let personality = settings.personality
    let isMinimal = personality == .minimal
    convertsBackslash = !isMinimal && personality != .apache2
    compressesSlashes = !isMinimal
    decodesSlashes = convertsBackslash
    usesBestFit = personality == .ids
    switch personality {
    case .ids, .iis60, .iis70, .iis75: decodesU = true
    case .minimal, .generic, .iis40, .iis50, .iis51, .apache2: decodesU = false
    }
  }

  private static let slash = UInt8(ascii: "/")
  private static let backslash = UInt8(ascii: "\\")
  private static let percent = UInt8(ascii: "%")

  /// A path: decoded once, separators unified, UTF-8 reduced to one octet a character, dot segments
  /// removed.
  ///
  /// - Parameter path: empty; its room is used.
  func normalizePath(_ bytes: [UInt8], _ range: Range<Int>, into path: inout [UInt8]) {
    decodePath(bytes, range, &path)
    if usesBestFit, path.contains(where: { $0 >= 0x80 }) { path = HTTPBestFit.reduceUTF8(path) }
    Self.removeDotSegments(&path)
  }

  private func decodePath(_ bytes: [UInt8], _ range: Range<Int>, _ out: inout [UInt8]) {
    out.reserveCapacity(range.count)
    var i = range.lowerBound
    while i < range.upperBound {
      var byte = bytes[i]
      var next = i + 1
      if byte == Self.percent, let (decoded, end) = escape(bytes, i, range.upperBound) {
        let isSeparator = decoded == Self.slash || (convertsBackslash && decoded == Self.backslash)
        if !isSeparator || decodesSlashes {
          byte = decoded
          next = end
        }
      }
      if byte == Self.backslash, convertsBackslash { byte = Self.slash }
      if byte != Self.slash || !compressesSlashes || out.last != Self.slash { out.append(byte) }
      i = next
    }
  }

  /// Decoded once and nothing else: query, fragment, host.
  func decoded(_ bytes: [UInt8], _ range: Range<Int>) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(range.count)
    decode(bytes, range, onto: &out)
    return out
  }

  func decode(_ bytes: [UInt8], _ range: Range<Int>, onto out: inout [UInt8]) {
    guard HTTPText.firstIndex(of: Self.percent, in: bytes, range) != nil else {
      return out.append(bytes.rawSpan.extracting(range))
    }
    var i = range.lowerBound
    while i < range.upperBound {
      if bytes[i] == Self.percent, let (decoded, end) = escape(bytes, i, range.upperBound) {
        out.append(decoded)
        i = end
      } else {
        out.append(bytes[i])
        i += 1
      }
    }
  }

  /// The octet that an escape at `i` stands for, and where it ends; nil for an invalid one, whose
  /// percent sign stays.
  private func escape(_ bytes: [UInt8], _ i: Int, _ end: Int) -> (UInt8, Int)? {
    if i + 1 < end, bytes[i + 1] | 32 == UInt8(ascii: "u") {
      guard decodesU, i + 6 <= end, let high = pair(bytes, i + 2), let low = pair(bytes, i + 4)
      else { return nil }
      let byte = high == 0 ? low : HTTPBestFit.octet(for: UInt32(high) << 8 | UInt32(low))
      return (byte, i + 6)
    }
    guard i + 3 <= end, let byte = pair(bytes, i + 1) else { return nil }
    return (byte, i + 3)
  }

  private func pair(_ bytes: [UInt8], _ i: Int) -> UInt8? {
    guard let high = HTTPText.hex(bytes[i]), let low = HTTPText.hex(bytes[i + 1]) else {
      return nil
    }
    return high << 4 | low
  }

  /// RFC 3986 section 5.2.4, but that "/a/.." and "/a/../" leave no slash of their own behind.
  static func removeDotSegments(_ path: inout [UInt8]) {
    guard hasDotSegment(path) else { return }
    var out: [UInt8] = []
    out.reserveCapacity(path.count)
    var i = 0
    while case let dots = dotCount(path, i), dots > 0 { i = min(path.count, i + dots + 1) }
    while i < path.count {
      guard path[i] == slash else {
        out.append(path[i])
        i += 1
        continue
      }
      // Consecutive dot segments share the slash that follows them.
      var removed = false
      var at = i
      while true {
        let dots = dotCount(path, at + 1)
        guard dots > 0 else { break }
        removed = true
        if dots == 2 { removeLastSegment(&out) }
        at += dots + 1
        if at >= path.count { break }
      }
      i = at
      if i >= path.count { break }
      if removed, i + 1 >= path.count { break }
      out.append(slash)
      i += 1
      // A second slash right behind is content (separators were compressed before, or must stay).
      if i < path.count, path[i] == slash {
        out.append(slash)
        i += 1
      }
    }
    path = out
  }

  private static func hasDotSegment(_ path: [UInt8]) -> Bool {
    if dotCount(path, 0) > 0 { return true }
    for i in path.indices where path[i] == slash && dotCount(path, i + 1) > 0 { return true }
    return false
  }

  /// 1 or 2 for a segment "." or ".." that ends at a slash or the end, else 0.
  private static func dotCount(_ path: [UInt8], _ start: Int) -> Int {
    let dot = UInt8(ascii: ".")
    guard start < path.count, path[start] == dot else { return 0 }
    if start + 1 >= path.count || path[start + 1] == slash { return 1 }
    guard path[start + 1] == dot else { return 0 }
    return start + 2 >= path.count || path[start + 2] == slash ? 2 : 0
  }

  private static func removeLastSegment(_ out: inout [UInt8]) {
    while let last = out.last, last != slash { out.removeLast() }
    if !out.isEmpty { out.removeLast() }
  }
}
