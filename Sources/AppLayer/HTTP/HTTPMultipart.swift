import Traffic

/// Finds the files in a multipart request body.
///
/// - Source: RFC 7578, RFC 2046 section 5.1; Suricata 8's reading: a part is a file when its
///   Content-Disposition names one; lines before the first delimiter are passed over.
struct HTTPMultipart {
  enum Output {
    case open(name: [UInt8])
    case close
  }

  private enum State { case preamble, head, content, delimiter }

  /// "--" and the boundary.
  private let boundary: [UInt8]
  private var state = State.preamble
  /// Bytes that may be the start of a line or delimiter.
  private var held: [UInt8] = []
  private var isFileOpen = false
  /// Nothing of the content of this part has been looked at.
  private var isAtContentStart = false
  private(set) var hasInvalidHeader = false
  private(set) var hasEmptyFile = false

  private static let boundaryCountMax = 255
  private static let lineCountMax = 4096

  /// - Returns: nil where the Content-Type gives no usable boundary.
  init?(contentType bytes: [UInt8], _ range: Range<Int>) {
    guard let value = Self.parameter("boundary", in: bytes, range),
      value.count <= Self.boundaryCountMax
    else { return nil }
    boundary = [45, 45] + value.filter { $0 != 92 }
  }

  /// Takes more of the body.
  ///
  /// - Parameters:
  ///   - event: a file begins or ends.
  ///   - content: octets of the file that is open.
  mutating func write(_ span: RawSpan, event: (Output) -> Void, content: (RawSpan) -> Void) {
    held.append(span)
    var at = 0
    while true {
      let before = (at, state)
      switch state {
      case .preamble: at = preambleLine(at)
      case .head: at = headLine(at, event)
      case .delimiter: at = delimiterLine(at)
      case .content: at = contentPiece(at, event, content)
      }
      if at == before.0, state == before.1 { break }
    }
    held.removeFirst(at)
  }

  /// The body is over: what was held back of an open file belongs to it.
  mutating func finish(event: (Output) -> Void, content: (RawSpan) -> Void) {
    guard state == .content, isFileOpen else { return }
    if !held.isEmpty { content(held.rawSpan) }
    held = []
    isFileOpen = false
    event(.close)
  }

  private func lineEnd(_ at: Int) -> Int? {
    HTTPText.firstIndex(of: HTTPText.lf, in: held, at..<held.count)
  }

  private func isBoundary(_ at: Int) -> Bool {
    held.count - at >= boundary.count && held[at..<at + boundary.count].elementsEqual(boundary)
  }

  private mutating func preambleLine(_ at: Int) -> Int {
    guard let end = lineEnd(at) else {
      if isBoundary(at), held.count - at > boundary.count + 128 {
        state = .delimiter
        return held.count
      }
      // A line too long to hold cannot be a delimiter.
      return held.count - at > Self.lineCountMax && !isBoundary(at) ? held.count : at
    }
    if isBoundary(at) { state = .head }
    return end + 1
  }

  /// The rest of a delimiter line that is longer than any should be.
  private mutating func delimiterLine(_ at: Int) -> Int {
    guard let end = lineEnd(at) else { return held.count }
    state = .head
    return end + 1
  }

  private mutating func headLine(_ at: Int, _ event: (Output) -> Void) -> Int {
    var from = at
    var found: Int?
    while let lf = HTTPText.firstIndex(of: HTTPText.lf, in: held, from..<held.count) {
      if lf > at, held[lf - 1] == HTTPText.cr {
        found = lf - 1
        break
      }
      from = lf + 1
    }
    guard let end = found else {
      guard held.count - at > Self.lineCountMax else { return at }
      state = .delimiter
      return held.count
    }
    if end == at {
      state = .content
      isAtContentStart = true
      return at + 2
    }
    field(at..<end, event)
    return end + 2
  }

  private mutating func field(_ line: Range<Int>, _ event: (Output) -> Void) {
    guard let colon = HTTPText.firstIndex(of: HTTPText.colon, in: held, line) else {
      hasInvalidHeader = true
      return
    }
    let value = HTTPText.trimmed(held, colon + 1..<line.upperBound)
    if value.isEmpty { hasInvalidHeader = true }
    guard HTTPText.equals(held, line.lowerBound..<colon, "content-disposition"),
      let name = Self.parameter("filename", in: held, value), !name.isEmpty
    else { return }
    if isFileOpen { event(.close) }
    isFileOpen = true
    event(.open(name: name.filter { $0 != 92 }))
  }

  private mutating func contentPiece(
    _ at: Int, _ event: (Output) -> Void, _ content: (RawSpan) -> Void
  ) -> Int {
    if isAtContentStart {
      // A delimiter right behind the head: the part is empty.
      if held.count - at < boundary.count, boundary.starts(with: held[at...]) { return at }
      isAtContentStart = false
      if isBoundary(at) {
        if isFileOpen { hasEmptyFile = true }
        return endPart(at, event)
      }
    }
    var from = at
    while let cr = HTTPText.firstIndex(of: HTTPText.cr, in: held, from..<held.count) {
      let rest = held.count - cr
      let matched = min(rest, boundary.count + 2)
      if delimiterMatches(cr, count: matched) {
        if isFileOpen, cr > at { content(held.rawSpan.extracting(at..<cr)) }
        return matched == boundary.count + 2 ? endPart(cr + 2, event) : cr
      }
      from = cr + 1
    }
    if isFileOpen, held.count > at { content(held.rawSpan.extracting(at..<held.count)) }
    return held.count
  }

  private mutating func endPart(_ next: Int, _ event: (Output) -> Void) -> Int {
    if isFileOpen { event(.close) }
    isFileOpen = false
    state = .preamble
    return next
  }

  /// Whether `count` octets at `at` are those of CRLF and the boundary.
  private func delimiterMatches(_ at: Int, count: Int) -> Bool {
    for i in 0..<count {
      let wanted = i == 0 ? HTTPText.cr : i == 1 ? HTTPText.lf : boundary[i - 2]
      if held[at + i] != wanted { return false }
    }
    return true
  }

  /// The value of parameter `name` in `value; name="…"` (also name*0, name*1, … put together).
  static func parameter(
    _ name: StaticString, in bytes: [UInt8], _ range: Range<Int>
  ) -> [UInt8]? {
    guard var i = HTTPText.firstIndex(of: 59, in: bytes, range) else { return nil }
    i += 1
    var sections: [UInt8]?
    var nextSection = 0
    let end = range.upperBound
    while i < end {
      while i < end, HTTPText.isSpace(bytes[i]) { i += 1 }
      guard let equal = HTTPText.firstIndex(of: 61, in: bytes, i..<end) else { break }
      let key = i..<equal
      var value: Range<Int>
      i = equal + 1
      if i < end, bytes[i] == 34, let close = closingQuote(bytes, i + 1..<end) {
        value = i + 1..<close
        i = close + 1
        while i < end, HTTPText.isSpace(bytes[i]) { i += 1 }
        if i < end, bytes[i] == 59 { i += 1 }
      } else {
        let stop = HTTPText.firstIndex(of: 59, in: bytes, i..<end) ?? end
        value = HTTPText.trimmed(bytes, i..<stop)
        i = min(end, stop + 1)
      }
      if HTTPText.equals(bytes, key, name) { return Array(bytes[value]) }
      if key.count > 2, HTTPText.hasPrefix(bytes, key, name),
        bytes[key][(key.lowerBound + name.utf8CodeUnitCount)...].elementsEqual(
          "*\(nextSection)".utf8)
      {
        sections = (sections ?? []) + bytes[value]
        nextSection += 1
      }
    }
    return sections
  }

  private static func closingQuote(_ bytes: [UInt8], _ range: Range<Int>) -> Int? {
    var isEscaped = false
    for i in range {
      if bytes[i] == 92 {
        isEscaped = true
      } else {
        if bytes[i] == 34, !isEscaped { return i }
        isEscaped = false
      }
    }
    return nil
  }
}
