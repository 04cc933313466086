/// Fields that the parser or a buffer asks for by name.
enum HTTPKnownField: UInt8, CaseIterable {
  case other, host, userAgent, referer, cookie, setCookie, accept, acceptEncoding, acceptLanguage
  case connection, contentType, contentLength, location, server, transferEncoding, contentEncoding
  case upgrade, expect, authorization, contentDisposition, contentRange

  static let names: [(StaticString, HTTPKnownField)] = [
    ("host", .host), ("user-agent", .userAgent), ("referer", .referer), ("cookie", .cookie),
    ("set-cookie", .setCookie), ("accept", .accept), ("accept-encoding", .acceptEncoding),
    ("accept-language", .acceptLanguage), ("connection", .connection),
    ("content-type", .contentType), ("content-length", .contentLength), ("location", .location),
    ("server", .server), ("transfer-encoding", .transferEncoding),
    ("content-encoding", .contentEncoding), ("upgrade", .upgrade), ("expect", .expect),
    ("authorization", .authorization), ("content-disposition", .contentDisposition),
    ("content-range", .contentRange),
  ]

  /// A name without NULs: two that are known at most have its length and first letter.
  private static func plain(_ bytes: [UInt8], _ range: Range<Int>) -> HTTPKnownField {
    guard let first = range.first else { return .other }
    let (name, field): (StaticString, HTTPKnownField)
    switch (range.count, HTTPText.lower(bytes[first])) {
    case (4, UInt8(ascii: "h")): (name, field) = ("host", .host)
    case (6, UInt8(ascii: "a")): (name, field) = ("accept", .accept)
    case (6, UInt8(ascii: "c")): (name, field) = ("cookie", .cookie)
    case (6, UInt8(ascii: "e")): (name, field) = ("expect", .expect)
    case (6, UInt8(ascii: "s")): (name, field) = ("server", .server)
    case (7, UInt8(ascii: "r")): (name, field) = ("referer", .referer)
    case (7, UInt8(ascii: "u")): (name, field) = ("upgrade", .upgrade)
    case (8, UInt8(ascii: "l")): (name, field) = ("location", .location)
    case (10, UInt8(ascii: "c")): (name, field) = ("connection", .connection)
    case (10, UInt8(ascii: "s")): (name, field) = ("set-cookie", .setCookie)
    case (10, UInt8(ascii: "u")): (name, field) = ("user-agent", .userAgent)
    case (12, UInt8(ascii: "c")): (name, field) = ("content-type", .contentType)
    case (13, UInt8(ascii: "a")): (name, field) = ("authorization", .authorization)
    case (13, UInt8(ascii: "c")): (name, field) = ("content-range", .contentRange)
    case (14, UInt8(ascii: "c")): (name, field) = ("content-length", .contentLength)
    case (15, UInt8(ascii: "a")):
      if HTTPText.hasPrefix(bytes, range, "accept-encoding") { return .acceptEncoding }
      (name, field) = ("accept-language", .acceptLanguage)
    case (16, UInt8(ascii: "c")): (name, field) = ("content-encoding", .contentEncoding)
    case (17, UInt8(ascii: "t")): (name, field) = ("transfer-encoding", .transferEncoding)
    case (19, UInt8(ascii: "c")): (name, field) = ("content-disposition", .contentDisposition)
    default: return .other
    }
    return HTTPText.hasPrefix(bytes, range, name) ? field : .other
  }

  /// NULs in a name are passed over, as some peers do.
  init(_ bytes: [UInt8], _ range: Range<Int>) {
    self = Self.plain(bytes, range)
    guard self == .other, range.contains(where: { bytes[$0] == 0 }) else { return }
    for (name, field) in Self.names {
      if HTTPText.equalsIgnoringNUL(bytes, range, name) {
        self = field
        return
      }
    }
  }
}

/// One field of a head: places in `HTTPHead.text`.
struct HTTPField {
  var name: Range<Int>
  var value: Range<Int>
  var known: HTTPKnownField
  /// Stood more than once; the values are joined.
  var isRepeated = false

  var whole: Range<Int> { name.lowerBound..<value.upperBound }
}

/// The fields of a message, as sent and as read.
///
/// `text` is every field as "Name: value\r\n" in order of first appearance, repeated ones joined by
/// ", ": what rules see as `http.header`. All field ranges lie in it.
struct HTTPHead {
  /// As sent: from behind the first line to the blank line, then the trailer likewise.
  var raw: [UInt8] = []
  private(set) var text: [UInt8] = []
  private(set) var fields: [HTTPField] = []
  /// Repetitions taken up so far; those beyond 64 are passed over.
  private var repetitionCount = 0
  /// The known fields that are there, a bit for each: most that are asked for are not.
  private var present: UInt32 = 0

  private static let repetitionCountMax = 64
  private static let usualBytes = 480
  private static let usualFields = 12

  enum Outcome {
    case new
    /// Joined to one that stood before; `isFirst` for the second of its name.
    case repeated(isFirst: Bool)
    /// Another Content-Length: the first stays.
    case contentLengthAgain(differs: Bool, isFirst: Bool)
    case ignored
  }

  func field(_ known: HTTPKnownField) -> HTTPField? {
    guard has(known) else { return nil }
    return fields.first { $0.known == known }
  }

  func has(_ known: HTTPKnownField) -> Bool { present & Self.bit(known) != 0 }

  /// There are fewer known fields than bits.
  private static func bit(_ known: HTTPKnownField) -> UInt32 { 1 << UInt32(known.rawValue & 31) }

  /// What a field says, as rules see it.
  func value(_ known: HTTPKnownField) -> BufferView? {
    guard has(known) else { return nil }
    for field in fields where field.known == known { return BufferView(text, range: field.value) }
    return nil
  }

  /// Adds a field that the reader found at `name` and `value` of `bytes`.
  mutating func add(
    _ bytes: [UInt8], name: Range<Int>, value valueBytes: [UInt8], value: Range<Int>
  ) -> Outcome {
    if let index = indexOfField(named: bytes, name) {
      return join(index, valueBytes, value)
    }
    if fields.isEmpty {
      // Room for an ordinary head at once, where growing would take an allocation for every other field.
      text.reserveCapacity(Self.usualBytes)
      fields.reserveCapacity(Self.usualFields)
    }
    let nameStart = text.count
    text.append(bytes.rawSpan.extracting(name))
    let nameEnd = text.count
    text.append(HTTPText.colon)
    text.append(HTTPText.space)
    let valueStart = text.count
    text.append(valueBytes.rawSpan.extracting(value))
    let valueEnd = text.count
    text.append(HTTPText.cr)
    text.append(HTTPText.lf)
    let known = HTTPKnownField(bytes, name)
    present |= Self.bit(known)
    fields.append(HTTPField(name: nameStart..<nameEnd, value: valueStart..<valueEnd, known: known))
    return .new
  }

  private mutating func join(_ index: Int, _ bytes: [UInt8], _ value: Range<Int>) -> Outcome {
    let isFirst = !fields[index].isRepeated
    if !isFirst {
      guard repetitionCount < Self.repetitionCountMax else { return .ignored }
      repetitionCount += 1
    }
    fields[index].isRepeated = true
    if fields[index].known == .contentLength {
      let before = HTTPText.contentLength(text, fields[index].value)
      let now = HTTPText.contentLength(bytes, value)
      return .contentLengthAgain(differs: before == nil || before != now, isFirst: isFirst)
    }
    var addition: [UInt8] = [44, 32]
    addition.append(bytes.rawSpan.extracting(value))
    text.insert(contentsOf: addition, at: fields[index].value.upperBound)
    fields[index].value = fields[index].value.lowerBound..<fields[index].value.upperBound + addition.count
    for later in (index + 1)..<fields.count { fields[later].shift(by: addition.count) }
    return .repeated(isFirst: isFirst)
  }

  private func indexOfField(named bytes: [UInt8], _ name: Range<Int>) -> Int? {
    fields.firstIndex { field in
      guard field.name.count == name.count else { return false }
      return zip(field.name, name).allSatisfy {
        HTTPText.lower(text[$0]) == HTTPText.lower(bytes[$1])
      }
    }
  }

  /// Forgets all fields (an interim response gives way to the next), keeping their room.
  mutating func removeAll() {
    raw.clear()
    text.clear()
    fields.clear()
    repetitionCount = 0
    present = 0
  }

  /// The room is that of an ordinary head.
  var isSmall: Bool {
    raw.capacity <= HTTPText.roomBytesMax && text.capacity <= HTTPText.roomBytesMax && fields.capacity <= 128
  }
}

extension HTTPField {
  fileprivate mutating func shift(by count: Int) {
    name = name.lowerBound + count..<name.upperBound + count
    value = value.lowerBound + count..<value.upperBound + count
  }
}
