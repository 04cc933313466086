import Traffic

/// The head of an HTTP/1 message, taken apart.
struct HTTPHead {
  /// Without its line end.
  var startLine: [UInt8] = []
  var fields: [(name: String, line: [UInt8])] = []
  /// The request's method; empty in a response.
  var method = ""
  /// The response's status; 0 in a request.
  var status = 0
  var isVersion11 = true

  /// Values of all fields of that name, in lower case, joined by commas; nil without one.
  func list(_ name: String) -> String? {
    let values = fields.filter { $0.name == name }.map { field in
      String(decoding: field.line.drop { $0 != 0x3a }.dropFirst(), as: UTF8.self).lowercased()
        .trimming()
    }
    return values.isEmpty ? nil : values.joined(separator: ",")
  }

  func tokens(_ name: String) -> [String] {
    (list(name) ?? "").split(separator: ",").map { String($0).trimming() }.filter { !$0.isEmpty }
  }
}

extension String {
  func trimming() -> String {
    var rest = Substring(self)
    while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
    while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
    return String(rest)
  }
}

/// Finds where the messages of one direction of HTTP/1 begin and end.
///
/// Stricter than servers have to be: whatever two readers could take for two different things is
/// malformed (bare line feeds, folded lines, both kinds of length, lengths told twice), so that no
/// request hides in another's body.
/// - Source: RFC 9112 sections 2.2, 5, 6 and 7.1.
/// - Limits: `headBytesMax` octets of a head, `lineBytesMax` of a chunk's size line.
struct HTTPFramer {
  enum Piece {
    case needMore
    case head(HTTPHead)
    /// Octets of the body, with what frames them; pass on as they are.
    case body(Range<Int>)
    case malformed(String)
  }

  private enum State {
    case head
    case fixed(UInt64)
    case chunkSize, chunk(UInt64), chunkEnd, trailer
    case untilEnd
  }

  static let headBytesMax = 65_536
  static let lineBytesMax = 1_024

  let isRequest: Bool
  private var state = State.head
  private var line: [UInt8] = []
  private var isFailed = false

  init(isRequest: Bool) { self.isRequest = isRequest }

  /// Between two messages.
  var isIdle: Bool {
    guard case .head = state else { return false }
    return line.isEmpty
  }

  /// All that follows belongs to the body, or is no HTTP any more.
  mutating func passRest() { state = .untilEnd }

  /// The next piece at `offset`, which moves behind it.
  mutating func next(_ bytes: RawSpan, _ offset: inout Int) -> Piece {
    guard !isFailed else { return .malformed("after a malformed message") }
    let piece = step(bytes, &offset)
    if case .malformed = piece { isFailed = true }
    return piece
  }

  private mutating func step(_ bytes: RawSpan, _ offset: inout Int) -> Piece {
    let start = offset
    guard start < bytes.byteCount else { return .needMore }
    switch state {
    case .head: return head(bytes, &offset)
    case .untilEnd:
      offset = bytes.byteCount
      return .body(start..<offset)
    case .fixed(let left), .chunk(let left):
      let count = Int(min(left, UInt64(bytes.byteCount - start)))
      offset = start + count
      let rest = left - UInt64(count)
      if case .fixed = state { state = rest == 0 ? .head : .fixed(rest) } else { state = rest == 0 ? .chunkEnd : .chunk(rest) }
      return .body(start..<offset)
    case .chunkSize, .chunkEnd, .trailer: return chunkLine(bytes, &offset)
    }
  }

  /// Gathers up to a line feed. - Returns: whether the line is whole.
  private mutating func gather(_ bytes: RawSpan, _ offset: inout Int) -> Bool {
    while offset < bytes.byteCount {
      let byte = bytes.u8(at: offset)
      offset += 1
      line.append(byte)
      if byte == 0x0a { return true }
    }
    return false
  }

  private mutating func chunkLine(_ bytes: RawSpan, _ offset: inout Int) -> Piece {
    let start = offset
    let isWhole = gather(bytes, &offset)
    guard line.count <= Self.lineBytesMax else { return .malformed("a chunk's line is too long") }
    if case .chunkEnd = state, !line.starts(with: [0x0d, 0x0a].prefix(line.count)) { return .malformed("a chunk is longer than it says") }
    guard isWhole else { return .body(start..<offset) }
    guard line.count >= 2, line[line.count - 2] == 0x0d else { return .malformed("a line of the body ends without CR") }
    let text = line.dropLast(2)
    line = []
    guard !text.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }) else { return .malformed("a control character in a chunk's line") }
    switch state {
    case .chunkEnd: state = .chunkSize
    case .trailer: state = text.isEmpty ? .head : .trailer
    default:
      let digits = text.prefix { $0 != 0x3b }
      // The library takes a sign too: "-0" would end the body here and nowhere else.
      guard (1...15).contains(digits.count), digits.allSatisfy(Self.isHexadecimal),
        let size = UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
      else { return .malformed("a chunk's size") }
      state = size == 0 ? .trailer : .chunk(size)
    }
    return .body(start..<offset)
  }

  private mutating func head(_ bytes: RawSpan, _ offset: inout Int) -> Piece {
    while gather(bytes, &offset) {
      guard line.count <= Self.headBytesMax else { return .malformed("the head is too long") }
      // RFC 9112 section 2.2: an empty line in front of a request is passed over.
      if isRequest, line == [0x0d, 0x0a] {
        line = []
        continue
      }
      guard line.suffix(4) == [0x0d, 0x0a, 0x0d, 0x0a] else { continue }
      let whole = line.dropLast(4)
      line = []
      return finish(Array(whole))
    }
    return line.count > Self.headBytesMax ? .malformed("the head is too long") : .needMore
  }

  private mutating func finish(_ octets: [UInt8]) -> Piece {
    var head = HTTPHead()
    var lines = octets.split(separator: 0x0a, omittingEmptySubsequences: false)
    for index in lines.indices.dropLast() {
      guard lines[index].last == 0x0d else { return .malformed("a line of the head ends without CR") }
      lines[index] = lines[index].dropLast()
    }
    guard !lines.contains(where: { $0.contains { $0 == 0x0d || $0 == 0 } }), let first = lines.first else {
      return .malformed("a control character in the head")
    }
    head.startLine = Array(first)
    guard isRequest ? readRequestLine(&head) : readStatusLine(&head) else { return .malformed("the first line") }
    for field in lines.dropFirst() {
      let name = field.prefix { $0 != 0x3a }
      guard name.count < field.count, !name.isEmpty, name.allSatisfy(Self.isToken) else {
        return .malformed("a field's name")
      }
      head.fields.append((String(decoding: name, as: UTF8.self).lowercased(), Array(field)))
    }
    if isRequest {
      if let problem = beginRequestBody(head) { return .malformed(problem) }
    }
    return .head(head)
  }

  private func readRequestLine(_ head: inout HTTPHead) -> Bool {
    let parts = head.startLine.split(separator: 0x20, omittingEmptySubsequences: false)
    guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(Self.isToken), !parts[1].isEmpty,
      parts[1].allSatisfy({ $0 > 0x20 && $0 != 0x7f })
    else { return false }
    head.method = String(decoding: parts[0], as: UTF8.self)
    head.isVersion11 = parts[2].elementsEqual("HTTP/1.1".utf8)
    return head.isVersion11 || parts[2].elementsEqual("HTTP/1.0".utf8)
  }

  private func readStatusLine(_ head: inout HTTPHead) -> Bool {
    let line = head.startLine
    guard line.count >= 12, line.starts(with: "HTTP/1.".utf8), line[8] == 0x20,
      let status = Int(String(decoding: line[9..<12], as: UTF8.self)), (100...999).contains(status)
    else { return false }
    head.isVersion11 = line[7] == 0x31
    head.status = status
    return true
  }

  /// - Returns: what is wrong with what the head says of the body's length.
  private mutating func beginRequestBody(_ head: HTTPHead) -> String? {
    if head.fields.count(where: { $0.name == "host" }) > 1 { return "more than one Host" }
    if head.isVersion11, head.list("host") == nil { return "no Host" }
    let lengths = head.fields.count { $0.name == "content-length" }
    if let coding = head.list("transfer-encoding") {
      guard lengths == 0 else { return "both Content-Length and Transfer-Encoding" }
      guard head.isVersion11, coding == "chunked" else { return "a Transfer-Encoding other than chunked" }
      state = .chunkSize
      return nil
    }
    guard lengths > 0 else { return nil }
    guard lengths == 1, let length = Self.length(head) else { return "a Content-Length that cannot be read" }
    state = length == 0 ? .head : .fixed(length)
    return nil
  }

  /// A response's body, as far as its request decides that there is one.
  ///
  /// - Returns: false where its length cannot be told for sure.
  mutating func beginResponseBody(_ head: HTTPHead, toHEAD: Bool) -> Bool {
    if toHEAD || head.status < 200 || head.status == 204 || head.status == 304 { return true }
    let lengths = head.fields.count { $0.name == "content-length" }
    if let coding = head.list("transfer-encoding") {
      guard lengths == 0, coding == "chunked" else { return false }
      state = .chunkSize
      return true
    }
    guard lengths > 0 else {
      state = .untilEnd
      return true
    }
    guard lengths == 1, let length = Self.length(head) else { return false }
    state = length == 0 ? .head : .fixed(length)
    return true
  }

  private static func length(_ head: HTTPHead) -> UInt64? {
    guard let text = head.list("content-length"), (1...18).contains(text.utf8.count),
      text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return UInt64(text)
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
    default: false
    }
  }

  /// RFC 9110 section 5.6.2.
  static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
  }
}
