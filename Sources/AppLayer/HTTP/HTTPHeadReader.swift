import Traffic

/// Gathers the bytes of a head or trailer and takes its fields in as they become complete.
struct HTTPHeadReader {
  private var reader: HTTPFieldReader
  /// From behind the first line on.
  private var bytes: [UInt8] = []
  /// Where the next field begins.
  private var position = 0
  private(set) var events: [HTTPEvent] = []

  /// Bytes taken over at a time: what stands behind the head is not copied by the megabyte.
  private static let stride = 4096

  enum Outcome {
    /// All input was taken; more is needed.
    case needMore
    /// The head is over. Next come `carry`, then the input from `next` on.
    case ended(next: Int, carry: [UInt8])
    /// One field exceeds the limit.
    case tooLong
  }

  init(isResponse: Bool) { reader = HTTPFieldReader(isResponse: isResponse) }

  private var isResponse: Bool { reader.isResponse }

  /// Begins with another head or trailer.
  mutating func restart() {
    reader.isEnd = false
    HTTPText.clear(&bytes)
    position = 0
    events.clear()
  }

  mutating func take(
    _ span: RawSpan, from start: Int, into head: inout HTTPHead, _ settings: HTTPSettings
  ) -> Outcome {
    var at = start
    while at < span.byteCount {
      let oldCount = bytes.count
      let next = min(span.byteCount, at + Self.stride)
      bytes.append(span.extracting(at..<next))
      if mayHoldLineEnd(from: oldCount), let end = readFields(into: &head, settings) {
        let carry = end < oldCount ? Array(bytes[end..<oldCount]) : []
        moveHead(end, to: &head)
        return .ended(next: carry.isEmpty ? at + end - oldCount : at, carry: carry)
      }
      if bytes.count - position > settings.metaFieldLimitBytes { settle(into: &head, settings) }
      if bytes.count - position > settings.metaFieldLimitBytes {
        events.append(isResponse ? .responseFieldTooLong : .requestFieldTooLong)
        return .tooLong
      }
      at = next
    }
    return .needMore
  }

  /// Hands over what has been gathered of the head; without a copy, where it is not much and nothing came before.
  private mutating func moveHead(_ end: Int, to head: inout HTTPHead) {
    if head.raw.isEmpty, bytes.capacity <= Self.stride {
      bytes.removeLast(bytes.count - end)
      swap(&head.raw, &bytes)
    } else {
      head.raw.append(bytes.rawSpan.extracting(0..<end))
    }
    HTTPText.clear(&bytes)
  }

  /// Takes in what is complete by now. How a line of a response ends may be told by an octet far behind it (the
  /// colon of an indented name, what follows blanks), and not every octet is looked at for that when it comes.
  mutating func settle(into head: inout HTTPHead, _ settings: HTTPSettings) {
    _ = readFields(into: &head, settings)
  }

  /// The direction is over: what is there is the head.
  mutating func finish(into head: inout HTTPHead, _ settings: HTTPSettings) {
    reader.isEnd = true
    _ = readFields(into: &head, settings)
    head.raw.append(contentsOf: bytes)
    bytes = []
  }

  /// Without a line end among the new bytes, or right before them, the head cannot have ended.
  private func mayHoldLineEnd(from oldCount: Int) -> Bool {
    for i in max(0, oldCount - 1)..<bytes.count
    where bytes[i] == HTTPText.lf || bytes[i] == HTTPText.cr { return true }
    return false
  }

  /// - Returns: where the head ends, or nil when that is not known yet.
  private mutating func readFields(into head: inout HTTPHead, _ settings: HTTPSettings) -> Int? {
    while true {
      switch reader.read(bytes, at: position) {
      case .needMore: return nil
      case .end(let end): return end
      case .field(let field):
        add(field, to: &head, settings)
        position = field.next
        if field.endsHead { return field.next }
      }
    }
  }

  private mutating func add(
    _ field: HTTPFieldReader.Field, to head: inout HTTPHead, _ settings: HTTPSettings
  ) {
    note(field.flags)
    guard head.fields.count <= settings.headerCountMax else {
      note(isResponse ? .responseTooManyHeaders : .requestTooManyHeaders)
      return
    }
    switch head.add(bytes, name: field.name, value: field.joined ?? bytes, value: field.value) {
    case .new, .ignored, .repeated(isFirst: false): break
    case .repeated(isFirst: true): note(repetition)
    case .contentLengthAgain(let differs, let isFirst):
      if isFirst { note(repetition) }
      if differs {
        note(isResponse ? .duplicateResponseContentLength : .duplicateRequestContentLength)
      }
    }
  }

  private var repetition: HTTPEvent {
    isResponse ? .responseHeaderRepetition : .requestHeaderRepetition
  }

  private mutating func note(_ flags: HTTPFieldReader.Flags) {
    if flags.isEmpty { return }
    if flags.contains(.missingColon) {
      note(isResponse ? .responseFieldMissingColon : .requestFieldMissingColon)
    } else if !flags.isDisjoint(with: [.nameEmpty, .nameNotToken, .nameTrailingSpace]) {
      note(isResponse ? .responseHeaderInvalid : .requestHeaderInvalid)
    }
    if flags.contains(.nameLeadingSpace) {
      note(isResponse ? .invalidResponseFolding : .invalidRequestFolding)
    }
  }

  private mutating func note(_ event: HTTPEvent) {
    if !events.contains(event) { events.append(event) }
  }
}
