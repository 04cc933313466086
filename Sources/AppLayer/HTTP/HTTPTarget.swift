import Traffic

/// A request target split into its parts and normalised as servers resolve it.
///
/// - Source: RFC 3986 section 3; where Suricata 8 splits more loosely, as it does (anything before
///   the first colon is a scheme unless the target begins with a slash).
struct HTTPTarget {
  var hostname: [UInt8]?
  /// The text of the port was there; `port` is nil where it is no number in 1…65535.
  var hasPort = false
  var port: Int?
  var isHostInvalid = false
  var isDoubleEncoded = false

  /// `path?query#fragment` normalised; empty where all are missing.
  private var uri: [UInt8] = []
  private var hasPath = false
  /// Octets of the path at the start of `uri`.
  private var pathCount = 0
  /// The path decoded once, where `uri` has it decoded twice.
  private var pathOnce: [UInt8]?

  /// What rules see as `http.uri`; nil where all is missing.
  var normalized: [UInt8]? { uri.isEmpty ? nil : uri }

  var path: [UInt8]? {
    guard hasPath else { return nil }
    return pathOnce ?? (pathCount == uri.count ? uri : Array(uri.prefix(pathCount)))
  }

  init() {}

  init(_ line: [UInt8], _ range: Range<Int>, isAuthority: Bool, settings: HTTPSettings) {
    read(line, range, isAuthority: isAuthority, settings: settings)
  }

  /// A path as it is.
  init(path: [UInt8]) {
    uri = path
    hasPath = true
    pathCount = path.count
  }

  /// Forgets the target, keeping its room.
  mutating func reset() {
    hostname = nil
    (hasPort, port) = (false, nil)
    (isHostInvalid, isDoubleEncoded) = (false, false)
    uri.clear()
    (hasPath, pathCount, pathOnce) = (false, 0, nil)
  }

  var isSmall: Bool { uri.capacity <= HTTPText.roomBytesMax }

  /// Takes a target into an empty one.
  mutating func read(_ line: [UInt8], _ range: Range<Int>, isAuthority: Bool, settings: HTTPSettings) {
    if isAuthority {
      if let host = HTTPHost(line, range) {
        hostname = host.name(in: line)
        port = host.port
        isHostInvalid = !host.isValid
      }
    } else {
      split(line, range, HTTPDecoding(settings), settings)
    }
    if let hostname, !HTTPHost.isValidName(hostname, 0..<hostname.count) { isHostInvalid = true }
  }

  private mutating func split(
    _ line: [UInt8], _ range: Range<Int>, _ decoding: HTTPDecoding, _ settings: HTTPSettings
  ) {
    var i = range.lowerBound
    let end = range.upperBound
    if i < end, line[i] != UInt8(ascii: "/"),
      let colon = HTTPText.firstIndex(of: HTTPText.colon, in: line, range)
    {
      i = splitAuthority(line, colon + 1..<end, decoding)
    }
    let pathStart = i
    while i < end, line[i] != UInt8(ascii: "?"), line[i] != UInt8(ascii: "#") { i += 1 }
    if i > pathStart { takePath(line, pathStart..<i, decoding, settings) }
    if i < end, line[i] == UInt8(ascii: "?") {
      let queryEnd = HTTPText.firstIndex(of: UInt8(ascii: "#"), in: line, i + 1..<end) ?? end
      uri.append(UInt8(ascii: "?"))
      takeQuery(line, i + 1..<queryEnd, decoding, settings)
      i = queryEnd
    }
    if i < end {
      uri.append(UInt8(ascii: "#"))
      decoding.decode(line, i + 1..<end, onto: &uri)
    }
  }

  private mutating func takePath(
    _ line: [UInt8], _ range: Range<Int>, _ decoding: HTTPDecoding, _ settings: HTTPSettings
  ) {
    hasPath = true
    decoding.normalizePath(line, range, into: &uri)
    pathCount = uri.count
    guard settings.doubleDecodePath else { return }
    let again = decoding.decoded(uri, 0..<uri.count)
    if again.count < uri.count { isDoubleEncoded = true }
    pathOnce = uri
    uri = again
  }

  private mutating func takeQuery(
    _ line: [UInt8], _ range: Range<Int>, _ decoding: HTTPDecoding, _ settings: HTTPSettings
  ) {
    guard settings.doubleDecodeQuery else { return decoding.decode(line, range, onto: &uri) }
    let once = decoding.decoded(line, range)
    let twice = decoding.decoded(once, 0..<once.count)
    if twice.count < once.count { isDoubleEncoded = true }
    uri.append(contentsOf: twice)
  }

  /// Takes `//user:password@host:port` off `range`.
  ///
  /// - Returns: where the path begins.
  private mutating func splitAuthority(
    _ line: [UInt8], _ range: Range<Int>, _ decoding: HTTPDecoding
  ) -> Int {
    var i = range.lowerBound
    let end = range.upperBound
    let slash = UInt8(ascii: "/")
    if end - i > 2, line[i] == slash, line[i + 1] == slash, line[i + 2] != slash,
      let at = HTTPText.firstIndex(of: UInt8(ascii: "@"), in: line, i + 2..<end)
    {
      i = at + 1
    }
    guard let host = HTTPHost.nameRange(line, i..<end) else { return i }
    var name = decoding.decoded(line, host.name).map(HTTPText.lower)
    while name.last == UInt8(ascii: ".") { name.removeLast() }
    hostname = name
    i = host.end
    if let found = HTTPHost.portRange(line, i..<end) {
      hasPort = true
      port = HTTPText.port(line, found.port)
      if port == nil { isHostInvalid = true }
      i = found.end
    }
    return i
  }
}

/// Host and port as the Host field, an absolute target or CONNECT give them.
struct HTTPHost {
  /// Where the name stands.
  var place: Range<Int>
  var hasPort = false
  var port: Int?
  var isValid: Bool

  /// - Returns: nil where there is no name at all.
  init?(_ bytes: [UInt8], _ range: Range<Int>) {
    guard let host = Self.nameRange(bytes, range) else { return nil }
    place = host.name
    isValid = Self.isValidName(bytes, host.name)
    let rest = host.end..<range.upperBound
    if let found = Self.portRange(bytes, rest) {
      hasPort = true
      port = HTTPText.port(bytes, found.port)
      if port == nil { isValid = false }
    } else if !rest.isEmpty {
      isValid = false
    }
  }

  /// The name in lower case.
  func name(in bytes: [UInt8]) -> [UInt8] {
    var name: [UInt8] = []
    appendName(in: bytes, to: &name)
    return name
  }

  func appendName(in bytes: [UInt8], to out: inout [UInt8]) {
    out.reserveCapacity(out.count + place.count)
    for i in place { out.append(HTTPText.lower(bytes[i])) }
  }

  /// Whether this is the name, which is in lower case.
  func isName(_ name: [UInt8], in bytes: [UInt8]) -> Bool {
    guard name.count == place.count else { return false }
    for i in name.indices where HTTPText.lower(bytes[place.lowerBound + i]) != name[i] { return false }
    return true
  }

  static func nameRange(_ bytes: [UInt8], _ range: Range<Int>) -> (name: Range<Int>, end: Int)? {
    var i = range.lowerBound
    let end = range.upperBound
    let slash = UInt8(ascii: "/")
    if end - i >= 2, bytes[i] == slash, bytes[i + 1] == slash { i += 2 }
    if i < end, bytes[i] == slash { return nil }
    while i < end, bytes[i] == HTTPText.space { i += 1 }
    let start = i
    if i < end, bytes[i] == UInt8(ascii: "[") {
      i += 1
      while i < end, !"/?#]".utf8.contains(bytes[i]) { i += 1 }
      if i > start + 1 {
        if i < end, bytes[i] == UInt8(ascii: "]") { i += 1 }
        return (start..<i, i)
      }
      i = start
    }
    while i < end, !"/?#:".utf8.contains(bytes[i]) { i += 1 }
    guard i > start else { return nil }
    var nameEnd = i
    while nameEnd > start, bytes[nameEnd - 1] == HTTPText.space { nameEnd -= 1 }
    return (start..<nameEnd, i)
  }

  static func portRange(_ bytes: [UInt8], _ range: Range<Int>) -> (port: Range<Int>, end: Int)? {
    guard let first = range.first, bytes[first] == HTTPText.colon else { return nil }
    var i = first + 1
    let end = range.upperBound
    while i < end, bytes[i] == HTTPText.space { i += 1 }
    let start = i
    while i < end, !"/?#".utf8.contains(bytes[i]) { i += 1 }
    guard i > start else { return nil }
    var portEnd = start
    while portEnd < i, bytes[portEnd] != HTTPText.space { portEnd += 1 }
    return portEnd > start ? (start..<portEnd, i) : nil
  }

  /// Labels of letters, digits, hyphens and underscores, or an IPv6 literal in brackets.
  static func isValidName(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
    guard let first = range.first, range.count <= 255 else { return false }
    if bytes[first] == UInt8(ascii: "[") {
      return bytes[range.upperBound - 1] == UInt8(ascii: "]")
        && isIPv6(bytes, first + 1..<range.upperBound - 1)
    }
    var labelCount = 0
    for i in range {
      if bytes[i] == UInt8(ascii: ".") {
        if labelCount == 0 { return false }
        labelCount = 0
        continue
      }
      let lower = HTTPText.lower(bytes[i])
      let isLetter = lower >= 97 && lower <= 122
      // Octets above ASCII are Latin letters to the validation this follows.
      guard isLetter || HTTPText.isDigit(lower) || lower == 45 || lower == 95 || lower >= 0xc0
      else { return false }
      labelCount += 1
      if labelCount > 63 { return false }
    }
    return true
  }

  private static func isIPv6(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
    guard range.count >= 2, range.count <= 45 else { return false }
    return IPAddress(String(decoding: bytes[range], as: UTF8.self)) != nil
  }
}
