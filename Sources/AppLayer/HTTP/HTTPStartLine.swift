/// Methods that have a meaning for parsing or tell a request from stray bytes.
enum HTTPMethod: UInt8 {
  case unknown, get, head, post, put, connect, other

  private static let others: [StaticString] = [
    "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE",
    "LOCK", "UNLOCK", "VERSION-CONTROL", "CHECKOUT", "UNCHECKOUT", "CHECKIN", "UPDATE", "LABEL",
    "REPORT", "MKWORKSPACE", "MKACTIVITY", "BASELINE-CONTROL", "MERGE", "INVALID",
  ]

  /// Methods are case-sensitive (RFC 9110 section 9.1).
  init(_ bytes: [UInt8], _ range: Range<Int>) {
    if HTTPText.isExactly(bytes, range, "GET") {
      self = .get
    } else if HTTPText.isExactly(bytes, range, "POST") {
      self = .post
    } else if HTTPText.isExactly(bytes, range, "HEAD") {
      self = .head
    } else if HTTPText.isExactly(bytes, range, "PUT") {
      self = .put
    } else if HTTPText.isExactly(bytes, range, "CONNECT") {
      self = .connect
    } else {
      self = Self.others.contains { HTTPText.isExactly(bytes, range, $0) } ? .other : .unknown
    }
  }
}

enum HTTPVersion: UInt8, Comparable {
  /// No protocol field was there.
  case absent
  /// One was, but it names no version that is known.
  case invalid
  case v09, v10, v11

  static func < (left: HTTPVersion, right: HTTPVersion) -> Bool { left.rawValue < right.rawValue }

  /// "HTTP/1.1" with blanks around the slash and zeros before the number.
  init(_ bytes: [UInt8], _ range: Range<Int>) {
    self = .invalid
    let end = range.upperBound
    func skip(_ from: Int, _ accepts: (UInt8) -> Bool) -> Int {
      var i = from
      while i < end, accepts(bytes[i]) { i += 1 }
      return i
    }
    var i = skip(range.lowerBound, HTTPText.isSpace)
    guard HTTPText.hasPrefix(bytes, i..<end, "http") else { return }
    i = skip(i + 4, HTTPText.isSpace)
    guard i < end, bytes[i] == UInt8(ascii: "/") else { return }
    i = skip(i + 1) { HTTPText.isSpace($0) || $0 == UInt8(ascii: "0") }
    let number = i..<HTTPText.trimmed(bytes, i..<max(i, end)).upperBound
    if HTTPText.isExactly(bytes, number, "1.1") {
      self = .v11
    } else if HTTPText.isExactly(bytes, number, "1.0") {
      self = .v10
    } else if HTTPText.isExactly(bytes, number, ".9") {
      self = .v09
    }
  }
}

/// A request line taken apart. Ranges lie in `bytes`.
///
/// - Source: RFC 9112 section 3; the target may hold blanks, it ends at the last one.
struct HTTPRequestLine {
  /// Without its line end.
  var bytes: [UInt8] = []
  var method: Range<Int>?
  var target: Range<Int>?
  var version: Range<Int>?
  var methodKind = HTTPMethod.unknown
  var versionNumber = HTTPVersion.absent
  /// There is no protocol field: HTTP/0.9, or a sloppy client.
  var lacksVersion = false
  var events: [HTTPEvent] = []

  init() {}

  init(_ line: [UInt8], personality: HTTPSettings.Personality) {
    bytes = line
    read(personality)
  }

  /// Forgets the line, keeping its room.
  mutating func reset() {
    bytes.clear()
    (method, target, version) = (nil, nil, nil)
    (methodKind, versionNumber, lacksVersion) = (.unknown, .absent, false)
    events.clear()
  }

  /// Takes the line that was put in `bytes` of an empty one apart.
  mutating func read(_ personality: HTTPSettings.Personality) {
    var end = bytes.count
    if personality == .apache2, let nul = bytes.firstIndex(of: 0) { end = nul }
    var i = 0
    while i < end, HTTPText.isSpace(bytes[i]) { i += 1 }
    if i > 0 { events.append(.leadingWhitespace) }
    let methodStart = i
    while i < end, !HTTPText.isSpace(bytes[i]) { i += 1 }
    method = (i > 0 && personality == .apache2 ? 0 : methodStart)..<i
    methodKind = HTTPMethod(bytes, methodStart..<i)
    let delimiterStart = i
    while i < end, HTTPText.isSpace(bytes[i]) { i += 1 }
    if (delimiterStart..<i).contains(where: { bytes[$0] != HTTPText.space }) {
      events.append(.methodDelimiter)
    }
    guard i < end else {
      lacksVersion = true
      versionNumber = .v09
      return
    }
    splitTarget(HTTPText.trimmed(bytes, i..<end))
  }

  private mutating func splitTarget(_ rest: Range<Int>) {
    var (found, protocolRange) = split(rest) { $0 == HTTPText.space }
    if found.contains(where: { HTTPText.isSpace(bytes[$0]) && bytes[$0] != HTTPText.space }) {
      events.append(.uriDelimiter)
      if found.count == rest.count { (found, protocolRange) = split(rest, HTTPText.isSpace) }
    }
    target = found
    guard !protocolRange.isEmpty else {
      lacksVersion = true
      versionNumber = .v09
      return
    }
    version = protocolRange
    versionNumber = HTTPVersion(bytes, protocolRange)
  }

  /// In two at the last delimiter.
  private func split(
    _ range: Range<Int>, _ isDelimiter: (UInt8) -> Bool
  ) -> (Range<Int>, Range<Int>) {
    guard let at = range.last(where: { isDelimiter(bytes[$0]) }) else {
      return (range, range.upperBound..<range.upperBound)
    }
    return (
      HTTPText.trimmed(bytes, range.lowerBound..<at),
      HTTPText.trimmed(bytes, at + 1..<range.upperBound)
    )
  }
}

/// A status line taken apart. Ranges lie in `bytes`.
struct HTTPStatusLine {
  /// Without its line end.
  var bytes: [UInt8] = []
  var version: Range<Int>?
  var code: Range<Int>?
  var message: Range<Int>?
  var versionNumber = HTTPVersion.absent
  /// 100…999, or nil for what is no status.
  var number: Int?

  init() {}

  init(_ line: [UInt8]) {
    bytes = line
    read()
  }

  /// Forgets the line, keeping its room.
  mutating func reset() {
    bytes.clear()
    (version, code, message) = (nil, nil, nil)
    (versionNumber, number) = (.absent, nil)
  }

  /// Takes the line that was put in `bytes` of an empty one apart.
  mutating func read() {
    versionNumber = .invalid
    let end = bytes.count
    var i = 0
    while i < end, HTTPText.isSpace(bytes[i]) || bytes[i] == 0 { i += 1 }
    let versionStart = i
    while i < end, !HTTPText.isSpace(bytes[i]) { i += 1 }
    guard i > versionStart else { return }
    version = versionStart..<i
    versionNumber = HTTPVersion(bytes, versionStart..<i)
    let codeGap = i
    while i < end, HTTPText.isSpace(bytes[i]) { i += 1 }
    let codeStart = i
    while i < end, !HTTPText.isSpace(bytes[i]) { i += 1 }
    guard codeStart > codeGap, i > codeStart else { return }
    code = codeStart..<i
    number = Self.number(bytes, codeStart..<i)
    let messageGap = i
    while i < end, HTTPText.isSpace(bytes[i]) { i += 1 }
    guard i > messageGap else { return }
    message = i..<end
  }

  /// Leading zeros do no harm; anything but digits does.
  private static func number(_ bytes: [UInt8], _ range: Range<Int>) -> Int? {
    var value = 0
    for i in range {
      guard HTTPText.isDigit(bytes[i]) else { return nil }
      value = value * 10 + Int(bytes[i] &- 48)
      if value > 65_535 { return nil }
    }
    return (100...999).contains(value) ? value : nil
  }

  /// Whether a line begins, blanks and NULs aside, with "HTTP" as browsers want it; else they take
  /// it for the body.
  static func looksLikeStatusLine(_ bytes: [UInt8]) -> Bool {
    var i = 0
    while i < bytes.count, HTTPText.isSpace(bytes[i]) || bytes[i] == 0 { i += 1 }
    return HTTPText.hasPrefix(bytes, i..<bytes.count, "http")
  }
}
