/// Finds the fields of a head in stored bytes, with all the line ends, foldings and omissions that
/// servers and browsers are known to put up with.
///
/// - Source: RFC 9112 sections 2.2 and 5; Suricata 8's reading (its HTTP evasion scenarios).
/// A request ends lines by LF or CRLF; a response also by CR or LFCR. Where the kind of a line end
/// depends on what follows, the reader waits for it, so that cuts do not change the result.
struct HTTPFieldReader {
  let isResponse: Bool
  /// No more bytes will come.
  var isEnd = false

  /// Lines folded into one field; more are cut off (the work per field stays bounded).
  private static let foldCountMax = 128

  struct Flags: OptionSet {
    let rawValue: UInt8
    static let missingColon = Flags(rawValue: 1)
    static let nameEmpty = Flags(rawValue: 2)
    static let nameNotToken = Flags(rawValue: 4)
    static let nameLeadingSpace = Flags(rawValue: 8)
    static let nameTrailingSpace = Flags(rawValue: 16)
    static let folded = Flags(rawValue: 32)
    static let oddLineEnd = Flags(rawValue: 64)
  }

  struct Field {
    var name: Range<Int>
    /// Set where the value is one stretch of the input.
    var value: Range<Int>
    /// The value put together from folded lines, else nil.
    var joined: [UInt8]?
    var flags: Flags
    /// Where the next field begins.
    var next: Int
    /// A blank line followed; `next` is behind it.
    var endsHead: Bool
  }

  enum Result {
    case needMore
    case field(Field)
    /// A blank line stands at the start; the head ends behind it.
    case end(Int)
  }

  private enum LineEnd {
    case none, needMore
    case found(count: Int, isOdd: Bool)
  }

  /// Reads the field at `start`.
  ///
  /// - Complexity: O(length of the field), times at most two.
  func read(_ bytes: [UInt8], at start: Int) -> Result {
    switch blankLine(bytes, at: start) {
    case .needMore: return .needMore
    case .found(let count, _): return .end(start + count)
    case .none: break
    }
    var flags: Flags = []
    var name = start..<start
    var valueStart = start
    switch readName(bytes, at: start) {
    case .needMore: return .needMore
    case .name(let range, let nameFlags):
      flags = nameFlags
      name = HTTPText.trimmed(bytes, range)
      valueStart = range.upperBound + 1
      while valueStart < bytes.count, HTTPText.isBlank(bytes[valueStart]) { valueStart += 1 }
    case .noColon:
      flags = [.missingColon, .nameEmpty]
    }
    guard var field = readValue(bytes, at: valueStart, flags: flags) else { return .needMore }
    field.name = name
    switch regularLineEnd(bytes, at: field.next, forHeadEnd: true) {
    case .needMore: return .needMore
    case .found(let count, _):
      field.next += count
      field.endsHead = true
    case .none: break
    }
    return .field(field)
  }

  // MARK: Line ends

  private func byte(_ bytes: [UInt8], _ index: Int) -> UInt8? {
    index < bytes.count ? bytes[index] : nil
  }

  /// A blank line where a head or trailer begins: CRLF or LF.
  private func blankLine(_ bytes: [UInt8], at i: Int) -> LineEnd {
    guard let first = byte(bytes, i) else { return .needMore }
    if first == HTTPText.lf { return .found(count: 1, isOdd: false) }
    guard first == HTTPText.cr else { return .none }
    guard let second = byte(bytes, i + 1) else {
      return isEnd ? .found(count: 1, isOdd: true) : .needMore
    }
    return second == HTTPText.lf ? .found(count: 2, isOdd: false) : .none
  }

  /// CRLF or LF, in responses also LFCR and CR.
  ///
  /// - Parameter forHeadEnd: the blank line behind a field; LF there never takes a CR along, and
  ///   what follows belongs to the body.
  private func regularLineEnd(
    _ bytes: [UInt8], at i: Int, forHeadEnd: Bool = false
  ) -> LineEnd {
    guard let first = byte(bytes, i) else { return isEnd ? .none : .needMore }
    if first == HTTPText.cr {
      guard let second = byte(bytes, i + 1) else {
        if isEnd { return isResponse ? .found(count: 1, isOdd: false) : .none }
        return .needMore
      }
      if second == HTTPText.lf { return .found(count: 2, isOdd: false) }
      return isResponse ? .found(count: 1, isOdd: false) : .none
    }
    guard first == HTTPText.lf else { return .none }
    if isResponse, !forHeadEnd {
      guard let second = byte(bytes, i + 1) else {
        return isEnd ? .found(count: 1, isOdd: false) : .needMore
      }
      if second == HTTPText.cr { return .found(count: 2, isOdd: false) }
    }
    return .found(count: 1, isOdd: false)
  }

  private func lineEnd(_ bytes: [UInt8], at i: Int) -> LineEnd {
    switch oddLineEnd(bytes, at: i) {
    case .none: regularLineEnd(bytes, at: i)
    case let other: other
    }
  }

  /// Line ends with stray CRs and blanks that browsers take for one line end.
  private func oddLineEnd(_ bytes: [UInt8], at i: Int) -> LineEnd {
    if byte(bytes, i) == HTTPText.lf {
      return lineEndWithStrayCR(bytes, at: i)
    }
    guard isResponse, byte(bytes, i) == HTTPText.cr else { return .none }
    guard let second = byte(bytes, i + 1) else { return isEnd ? .none : .needMore }
    guard second == HTTPText.lf else { return .none }
    guard let third = byte(bytes, i + 2) else { return isEnd ? .none : .needMore }
    guard third == HTTPText.cr else { return .none }
    return blanksAfterCR(bytes, at: i, from: i + 3)
  }

  /// LF CR CR LF before a blank line; in requests also LF CR before CRLF.
  private func lineEndWithStrayCR(_ bytes: [UInt8], at i: Int) -> LineEnd {
    guard let second = byte(bytes, i + 1) else { return isEnd ? .none : .needMore }
    guard second == HTTPText.cr else { return .none }
    guard let third = byte(bytes, i + 2) else { return isEnd ? .none : .needMore }
    guard third == HTTPText.cr else { return .none }
    guard let fourth = byte(bytes, i + 3) else { return isEnd ? .none : .needMore }
    guard fourth == HTTPText.lf else { return .none }
    let fifth = byte(bytes, i + 4)
    if fifth == nil, !isEnd { return .needMore }
    var blankFollows = fifth == HTTPText.lf
    if fifth == HTTPText.cr {
      guard let sixth = byte(bytes, i + 5) else { return isEnd ? .none : .needMore }
      blankFollows = sixth == HTTPText.lf
    }
    if blankFollows { return .found(count: 4, isOdd: true) }
    return isResponse ? .none : .found(count: 2, isOdd: true)
  }

  /// CRLF CR, then CRs and blanks, then perhaps LF, unless a blank line follows.
  private func blanksAfterCR(_ bytes: [UInt8], at i: Int, from: Int) -> LineEnd {
    var end = from
    while let next = byte(bytes, end), next == HTTPText.cr || HTTPText.isBlank(next) { end += 1 }
    if end >= bytes.count { return isEnd ? .none : .needMore }
    guard end > from else { return .none }
    if bytes[end] == HTTPText.lf { end += 1 }
    guard let next = byte(bytes, end) else {
      return isEnd ? .found(count: end - i, isOdd: true) : .needMore
    }
    if next == HTTPText.lf { return .none }
    if next == HTTPText.cr {
      guard let after = byte(bytes, end + 1) else {
        return isEnd ? .found(count: end - i, isOdd: true) : .needMore
      }
      if after == HTTPText.lf { return .none }
    }
    return .found(count: end - i, isOdd: true)
  }

  // MARK: Name

  private enum Name {
    case needMore, noColon
    case name(Range<Int>, Flags)
  }

  /// A name ends at its colon; a line end before it followed by a blank is part of it.
  private func readName(_ bytes: [UInt8], at start: Int) -> Name {
    var terminator: UInt8 = 0
    var i = start
    while i < bytes.count {
      let byte = bytes[i]
      if terminator == 0 {
        if byte == HTTPText.colon { return .name(start..<i, nameFlags(bytes, start..<i)) }
        if byte == HTTPText.lf || (isResponse && byte == HTTPText.cr) { terminator = byte }
      } else if byte == HTTPText.space {
        terminator = 0
      } else if byte == HTTPText.lf, terminator == HTTPText.cr {
        terminator = byte
      } else {
        return .noColon
      }
      i += 1
    }
    return isEnd ? .noColon : .needMore
  }

  private func nameFlags(_ bytes: [UInt8], _ range: Range<Int>) -> Flags {
    guard !range.isEmpty else { return .nameEmpty }
    var flags: Flags = []
    if HTTPText.isSpace(bytes[range.lowerBound]) { flags.insert(.nameLeadingSpace) }
    if HTTPText.isSpace(bytes[range.upperBound - 1]) { flags.insert(.nameTrailingSpace) }
    var i = range.lowerBound
    while i < range.upperBound, HTTPText.isBlank(bytes[i]) { i += 1 }
    while i < range.upperBound, HTTPText.isToken(bytes[i]) { i += 1 }
    while i < range.upperBound, HTTPText.isBlank(bytes[i]) { i += 1 }
    if i < range.upperBound { flags.insert(.nameNotToken) }
    return flags
  }

  // MARK: Value

  private struct Line {
    var content: Range<Int>
    var endCount: Int
    var isOdd: Bool
    /// The blank that folds the next line onto this one.
    var fold: UInt8?
    var next: Int
  }

  /// One line of a value and how it ends; nil for more needed.
  private func readLine(_ bytes: [UInt8], at start: Int) -> Line? {
    var end = HTTPScan.firstLineEnd(bytes.rawSpan, start, stopsAtCR: isResponse)
    guard end < bytes.count else { return nil }
    if !isResponse, end > start, bytes[end - 1] == HTTPText.cr { end -= 1 }
    let folding = isResponse ? regularLineEnd(bytes, at: end) : lineEnd(bytes, at: end)
    switch folding {
    case .needMore: return nil
    case .none: break
    case .found(let count, let isOdd):
      guard let after = byte(bytes, end + count) else {
        guard isEnd else { return nil }
        return Line(
          content: start..<end, endCount: count, isOdd: isOdd, fold: nil, next: end + count)
      }
      if HTTPText.isBlank(after) || after == 0 {
        return Line(
          content: start..<end, endCount: count, isOdd: isOdd, fold: after, next: end + count + 1)
      }
    }
    guard case .found(let count, let isOdd) = lineEnd(bytes, at: end) else { return nil }
    if byte(bytes, end + count) == nil, !isEnd { return nil }
    return Line(content: start..<end, endCount: count, isOdd: isOdd, fold: nil, next: end + count)
  }

  /// A value with the lines folded onto it; nil for more needed.
  private func readValue(_ bytes: [UInt8], at start: Int, flags: Flags) -> Field? {
    guard let first = readLine(bytes, at: start) else { return nil }
    var flags = flags
    if first.isOdd { flags.insert(.oddLineEnd) }
    guard var fold = first.fold else {
      return Field(
        name: start..<start, value: HTTPText.trimmed(bytes, first.content), joined: nil,
        flags: flags, next: first.next, endsHead: false)
    }
    flags.insert(.folded)
    var joined = Array(bytes[first.content])
    var next = first.next
    var position = first.next
    for _ in 0..<Self.foldCountMax {
      if isResponse {
        switch namedLine(bytes, at: position) {
        case .needMore: return nil
        case .yes: return folded(joined, flags.subtracting(.folded), next: position)
        case .no: break
        }
      }
      guard let line = readLine(bytes, at: position) else { return nil }
      position = line.next
      if line.isOdd { flags.insert(.oddLineEnd) }
      if !joined.isEmpty { joined.append(fold) }
      if !line.content.isEmpty || line.endCount > 1 {
        next = line.next
        joined.append(contentsOf: bytes[line.content])
      } else if byte(bytes, line.next) == HTTPText.lf {
        next = line.next
      }
      guard let another = line.fold else { break }
      fold = another
    }
    return folded(joined, flags, next: next)
  }

  private func folded(_ joined: [UInt8], _ flags: Flags, next: Int) -> Field {
    Field(
      name: 0..<0, value: HTTPText.trimmed(joined, 0..<joined.count), joined: joined,
      flags: flags, next: next, endsHead: false)
  }

  private enum Answer { case yes, no, needMore }

  /// Whether an indented line of a response reads "name:": browsers take it for a field.
  private func namedLine(_ bytes: [UInt8], at start: Int) -> Answer {
    var i = start
    while i < bytes.count, HTTPText.isBlank(bytes[i]) { i += 1 }
    let tokenStart = i
    while i < bytes.count, HTTPText.isToken(bytes[i]) { i += 1 }
    let tokenEnd = i
    while i < bytes.count, HTTPText.isBlank(bytes[i]) { i += 1 }
    guard let next = byte(bytes, i) else { return isEnd ? .no : .needMore }
    return next == HTTPText.colon && tokenEnd > tokenStart ? .yes : .no
  }
}
