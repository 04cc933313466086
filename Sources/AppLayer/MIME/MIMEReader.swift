import Traffic

/// Reads a mail message line by line: heads, parts within parts, content without its coding.
///
/// - Source: RFC 5322, RFC 2045 to 2047, RFC 2231; Suricata 8's reading: a part with a name is a file.
/// - Limits: ``MIMESettings``.
struct MIMEReader {
  enum Output {
    case open(name: [UInt8])
    case content([UInt8])
    case close
  }

  private enum State {
    case head
    /// Before the first delimiter of a multipart, or behind its last.
    case between
    case content
  }

  private enum Coding { case none, base64, quotedPrintable }

  private let settings: MIMESettings
  private(set) var message = MIMEMessage()
  private(set) var events: [MIMEEvent] = []
  private var state = State.head
  private var isTopHead = true
  /// Boundaries of the multiparts around, with their two dashes.
  private var boundaries: [[UInt8]] = []
  /// Messages within messages.
  private var depth = 0
  /// The field in hand, name and value as they came.
  private var field: [UInt8] = []
  private var fieldCount = 0
  // Of the part in hand.
  private var type: [UInt8] = []
  private var disposition: [UInt8] = []
  private var coding = Coding.none
  private var base64 = MIMEBase64()
  private var isFileOpen = false
  private var isText = false
  /// The end of the last line, which belongs to a delimiter if one follows.
  private var heldEnd: [UInt8] = []
  /// The piece before was no whole line.
  private var isWithinLine = false
  private var links: MIMELinks
  private var bodyHash: RunningDigest?

  init(_ settings: MIMESettings) {
    self.settings = settings
    links = MIMELinks(settings)
    if settings.hashesBody { bodyHash = RunningDigest(.md5) }
  }

  /// Octets of a line beyond which it is odd (RFC 5321 section 4.5.3.1.6), and of one in Base64 (RFC 2045
  /// section 6.8).
  private static let lineBytesMax = 998
  private static let codedLineBytesMax = 76

  private mutating func raise(_ event: MIMEEvent) {
    if !events.contains(event) { events.append(event) }
  }

  /// Takes a line, or a piece of one that is too long to hold.
  ///
  /// - Parameter end: the octets that ended the line; empty for a piece.
  mutating func take(_ line: [UInt8], end: [UInt8], _ output: (Output) -> Void) {
    let isContinued = isWithinLine
    isWithinLine = end.isEmpty
    if line.count > Self.lineBytesMax { raise(.longLine) }
    if message.hasHead, let bodyHash {
      bodyHash.update(line.rawSpan)
      bodyHash.update(end.rawSpan)
    }
    if !isContinued, line.starts(with: [45, 45]), takeDelimiter(line, output) { return }
    switch state {
    case .head: takeHeadLine(line, isContinued, output)
    case .between: break
    case .content: takeContent(line, end, output)
    }
  }

  /// The message is over.
  mutating func finish(_ output: (Output) -> Void) {
    guard message.status != .done else { return }
    if state == .head { endHead(output) }
    closePart(output)
    links.finish()
    message.urls = links.found
    message.bodyMD5 = bodyHash?.finish()
    message.status = .done
  }

  // MARK: Parts

  private mutating func takeDelimiter(_ line: [UInt8], _ output: (Output) -> Void) -> Bool {
    guard let index = boundaries.lastIndex(where: { line.starts(with: $0) }) else { return false }
    if state == .head { endHead(output) }
    closePart(output)
    let isLast = line.dropFirst(boundaries[index].count).starts(with: [45, 45])
    boundaries.removeLast(boundaries.count - (isLast ? index : index + 1))
    if isLast {
      state = .between
    } else {
      beginPart()
    }
    return true
  }

  private mutating func beginPart() {
    state = .head
    field = []
    fieldCount = 0
    type = []
    disposition = []
    coding = .none
    base64 = MIMEBase64()
    isText = false
  }

  private mutating func closePart(_ output: (Output) -> Void) {
    heldEnd = []
    if isText { links.finish() }
    isText = false
    if isFileOpen { output(.close) }
    isFileOpen = false
  }

  // MARK: Heads

  private mutating func takeHeadLine(_ line: [UInt8], _ isContinued: Bool, _ output: (Output) -> Void) {
    if line.isEmpty, !isContinued {
      endHead(output)
      return
    }
    if isContinued {
      append(line[...])
    } else if HTTPText.isBlank(line[0]) {
      // Unfolded as Suricata does: without the blanks.
      append(line.drop(while: HTTPText.isBlank))
    } else {
      endField()
      append(line[...])
    }
  }

  private mutating func append(_ bytes: ArraySlice<UInt8>) {
    let room = settings.headerValueBytesMax + settings.nameBytesMax - field.count
    if bytes.count > room { raise(.longHeaderValue) }
    field.append(contentsOf: bytes.prefix(max(0, room)))
  }

  private mutating func endField() {
    defer { field = [] }
    guard !field.isEmpty, fieldCount < settings.fieldCountMax,
      let colon = field.firstIndex(of: HTTPText.colon)
    else { return }
    fieldCount += 1
    var name = field[HTTPText.trimmed(field, 0..<colon)].map(HTTPText.lower)
    if name.count > settings.nameBytesMax {
      raise(.longHeaderName)
      name = Array(name.prefix(settings.nameBytesMax))
    }
    var value = Array(field[HTTPText.trimmed(field, colon + 1..<field.count)])
    if value.count > settings.headerValueBytesMax {
      raise(.longHeaderValue)
      value = Array(value.prefix(settings.headerValueBytesMax))
    }
    if isTopHead { message.fields.append(MIMEMessage.Field(name: name, value: value)) }
    let all = 0..<name.count
    if HTTPText.equals(name, all, "content-type") {
      if type.isEmpty { type = value }
    } else if HTTPText.equals(name, all, "content-disposition") {
      if disposition.isEmpty { disposition = value }
    } else if HTTPText.equals(name, all, "content-transfer-encoding") {
      let whole = 0..<value.count
      if HTTPText.hasPrefix(value, whole, "base64") {
        coding = settings.decodesBase64 ? .base64 : .none
      } else if HTTPText.hasPrefix(value, whole, "quoted-printable") {
        coding = settings.decodesQuotedPrintable ? .quotedPrintable : .none
      }
    }
  }

  private mutating func endHead(_ output: (Output) -> Void) {
    endField()
    if isTopHead {
      message.hasHead = true
      if message.status == .head { message.status = .body }
    }
    isTopHead = false
    let name = partName()
    if let name, message.attachments.count < settings.attachmentCountMax { message.attachments.append(name) }
    let whole = 0..<type.count
    if HTTPText.hasPrefix(type, whole, "multipart/"), boundaries.count < settings.depthMax,
      let boundary = MIMEParameters.value("boundary", in: type), !boundary.isEmpty
    {
      if boundary.count >= settings.nameBytesMax { raise(.longBoundary) }
      boundaries.append([45, 45] + boundary.prefix(settings.nameBytesMax))
      state = .between
      return
    }
    if HTTPText.hasPrefix(type, whole, "message/rfc822"), depth < settings.depthMax {
      // RFC 2046 section 5.2.1: such a part is not coded, whatever its head says.
      depth += 1
      beginPart()
      return
    }
    state = .content
    if let name {
      isFileOpen = true
      output(.open(name: name))
    } else {
      isText = type.isEmpty || HTTPText.hasPrefix(type, whole, "text/")
    }
  }

  private mutating func partName() -> [UInt8]? {
    guard
      let name = MIMEParameters.value("filename", in: disposition) ?? MIMEParameters.value("name", in: type),
      !name.isEmpty
    else { return nil }
    if name.count <= settings.nameBytesMax { return name }
    raise(.longFileName)
    return Array(name.prefix(settings.nameBytesMax))
  }

  // MARK: Content

  private mutating func takeContent(_ line: [UInt8], _ end: [UInt8], _ output: (Output) -> Void) {
    guard isFileOpen || isText else { return }
    var out: [UInt8] = []
    switch coding {
    case .none:
      out = heldEnd + line
      heldEnd = end
    case .base64:
      if line.count > Self.codedLineBytesMax { raise(.longEncodedLine) }
      base64.decode(line[...], into: &out)
      if base64.hasInvalid { raise(.invalidBase64) }
    case .quotedPrintable:
      out = heldEnd
      let (continues, isInvalid) = MIMEQuotedPrintable.decode(line[...], into: &out)
      if isInvalid { raise(.invalidQuotedPrintable) }
      heldEnd = continues ? [] : end
    }
    guard !out.isEmpty else { return }
    if isFileOpen { output(.content(out)) }
    if isText {
      links.take(out)
      message.urls = links.found
    }
  }
}
