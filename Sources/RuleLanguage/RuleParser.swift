/// A fault in a rule's syntax, at an offset of its source.
struct RuleSyntaxError: Error {
  var offset: Int
  var message: String
  var hint: String?

  init(_ message: String, at offset: Int, hint: String? = nil) {
    self.message = message
    self.offset = offset
    self.hint = hint
  }
}

/// What rules of one file share while they are parsed.
struct RuleTables {
  var names: NameTable
  var addresses = ExpressionTable<AddressLeaf>()
  var ports = ExpressionTable<PortLeaf>()

  init(keywords: [String]) { names = NameTable(keywords) }
}

/// Parses one rule: seven header parts separated by blanks, then options in parentheses.
///
/// - Source: Suricata 8 "Rules Format"; where its text is silent, what Suricata is seen to accept. An option
///   ends at the first `;` that has no backslash before it: quotes do not protect a semicolon.
struct RuleParser {
  /// The longest keyword of Suricata has 33 bytes.
  static let keywordBytesMax = 64
  /// Octets of an option, about.
  private static let optionBytes = 24
  /// Rules of 200 options are the largest in use.
  static let optionsMax = 4_096

  private let text: RuleText
  private let bytes: [UInt8]
  private let end: Int
  private var index: Int
  private var offsets = RuleHeaderOffsets()
  /// Where the list read last begins.
  private var listOffset: UInt32 = 0
  private(set) var warnings: [RuleSyntaxError] = []

  init(_ text: RuleText) {
    self.text = text
    bytes = text.source.bytes
    index = text.range.lowerBound
    end = text.range.upperBound
  }

  mutating func parse(
    _ tables: inout RuleTables, isEnabled: Bool
  ) throws(RuleSyntaxError) -> RuleSyntax {
    let (action, actionScope) = try readAction()
    let (protocolName, protocolHook) = try readProtocol(&tables)
    let source = try readAddresses(&tables, "source address")
    offsets.source = listOffset
    let sourcePorts = try readPorts(&tables, "source port")
    offsets.sourcePorts = listOffset
    let direction = try readDirection()
    let destination = try readAddresses(&tables, "destination address")
    offsets.destination = listOffset
    let destinationPorts = try readPorts(&tables, "destination port")
    offsets.destinationPorts = listOffset
    let options = try readOptions(&tables.names)
    let identity = try RuleIdentity(options, at: text)
    return RuleSyntax(
      action: action, actionScope: actionScope, protocolName: protocolName, protocolHook: protocolHook, source: source,
      sourcePorts: sourcePorts, direction: direction, destination: destination,
      destinationPorts: destinationPorts, options: options, isEnabled: isEnabled, sid: identity.sid,
      gid: identity.gid, rev: identity.rev, location: text.location(of: Int(offsets.action)),
      text: text, headerOffsets: offsets)
  }

  // MARK: Header

  private mutating func readAction() throws(RuleSyntaxError) -> (RuleAction, RuleActionScope?) {
    let range = try readToken("action")
    offsets.action = UInt32(range.lowerBound)
    let nameEnd = bytes[range].firstIndex(of: ASCII.colon) ?? range.upperBound
    let word = ASCII.lowercased(bytes[range.lowerBound..<nameEnd]).text
    guard let action = RuleAction(rawValue: word) else {
      throw RuleSyntaxError(
        "unknown action '\(bytes[range].text)'", at: range.lowerBound,
        hint: NearMatch.hint(for: word, among: RuleAction.allCases.map(\.rawValue)))
    }
    guard nameEnd < range.upperBound else { return (action, nil) }
    let scopeWord = bytes[(nameEnd &+ 1)..<range.upperBound].text
    guard let scope = RuleActionScope(rawValue: scopeWord), action != .alert, action != .config else {
      throw RuleSyntaxError(
        "'\(scopeWord)' is no scope of \(word)", at: nameEnd &+ 1,
        hint: "packet or flow, behind pass, drop or reject")
    }
    return (action, scope)
  }

  private mutating func readProtocol(
    _ tables: inout RuleTables
  ) throws(RuleSyntaxError) -> (String, String?) {
    let range = try readToken("protocol")
    offsets.protocolName = UInt32(range.lowerBound)
    guard let colon = bytes[range].firstIndex(of: ASCII.colon) else {
      return (tables.names.name(bytes, range), nil)
    }
    guard colon > range.lowerBound, colon &+ 1 < range.upperBound else {
      throw RuleSyntaxError("the protocol or its hook is empty", at: colon)
    }
    return (
      tables.names.name(bytes, range.lowerBound..<colon),
      tables.names.name(bytes, (colon &+ 1)..<range.upperBound)
    )
  }

  private mutating func readDirection() throws(RuleSyntaxError) -> RuleDirection {
    let range = try readToken("direction")
    offsets.direction = UInt32(range.lowerBound)
    let word = bytes[range].text
    guard let direction = RuleDirection(rawValue: word) else {
      throw RuleSyntaxError(
        "'\(word)' is not a direction", at: range.lowerBound,
        hint: word == "<-" ? "swap the two sides and write ->" : "->, <> or =>")
    }
    return direction
  }

  private mutating func readAddresses(
    _ tables: inout RuleTables, _ name: StaticString
  ) throws(RuleSyntaxError) -> AddressExpression {
    let range = try readList(name)
    listOffset = UInt32(range.lowerBound)
    do throws(RuleValueError) {
      return try tables.addresses.expression(Array(bytes[range]))
    } catch {
      throw headerError(error, name, range)
    }
  }

  private mutating func readPorts(
    _ tables: inout RuleTables, _ name: StaticString
  ) throws(RuleSyntaxError) -> PortExpression {
    let range = try readList(name)
    listOffset = UInt32(range.lowerBound)
    do throws(RuleValueError) {
      return try tables.ports.expression(Array(bytes[range]))
    } catch {
      throw headerError(error, name, range)
    }
  }

  private func headerError(
    _ error: RuleValueError, _ name: StaticString, _ range: Range<Int>
  ) -> RuleSyntaxError {
    RuleSyntaxError(
      "\(name): \(error.message)", at: range.lowerBound &+ error.columnOffset, hint: error.hint)
  }

  /// Bytes up to the next blank.
  private mutating func readToken(_ name: StaticString) throws(RuleSyntaxError) -> Range<Int> {
    skipSpace()
    let start = index
    while index < end, !ASCII.isSpace(bytes[index]) { index &+= 1 }
    guard index > start else { throw RuleSyntaxError("the rule ends before its \(name)", at: start) }
    return start..<index
  }

  /// Bytes up to the next blank that is not in brackets.
  private mutating func readList(_ name: StaticString) throws(RuleSyntaxError) -> Range<Int> {
    skipSpace()
    let start = index
    var depth = 0
    scan: while index < end {
      switch bytes[index] {
      case ASCII.openBracket: depth &+= 1
      case ASCII.closeBracket: depth &-= 1
      case ASCII.openParenthesis: break scan
      case let byte where depth <= 0 && ASCII.isSpace(byte): break scan
      default: break
      }
      index &+= 1
    }
    guard index > start else { throw RuleSyntaxError("the rule ends before its \(name)", at: start) }
    guard depth <= 0 else { throw RuleSyntaxError("\(name): ']' is missing", at: start) }
    if index < end, bytes[index] == ASCII.openParenthesis {
      throw RuleSyntaxError("a blank is missing before '('", at: index)
    }
    return start..<index
  }

  // MARK: Options

  private mutating func readOptions(_ names: inout NameTable) throws(RuleSyntaxError) -> [RuleOption] {
    skipSpace()
    guard index < end else { throw RuleSyntaxError("the rule has no options", at: end) }
    if bytes[index] == ASCII.openParenthesis {
      while index < end, bytes[index] == ASCII.openParenthesis || ASCII.isSpace(bytes[index]) { index &+= 1 }
    } else {
      warnings.append(RuleSyntaxError("'(' is missing before the options", at: index))
    }
    var close = end
    while close > index, bytes[close &- 1] == ASCII.closeParenthesis || ASCII.isSpace(bytes[close &- 1]) {
      close &-= 1
    }
    if !bytes[close..<end].contains(ASCII.closeParenthesis) {
      warnings.append(RuleSyntaxError("')' is missing after the options", at: end))
    }
    var options: [RuleOption] = []
    options.reserveCapacity(min((close &- index) / Self.optionBytes &+ 4, Self.optionsMax))
    while index < close {
      guard options.count < Self.optionsMax else {
        throw RuleSyntaxError("more than \(Self.optionsMax) options", at: index)
      }
      options.append(try readOption(close, &names))
      while index < close, ASCII.isSpace(bytes[index]) { index &+= 1 }
    }
    guard !options.isEmpty else { throw RuleSyntaxError("the rule has no options", at: index) }
    return options
  }

  private mutating func readOption(
    _ close: Int, _ names: inout NameTable
  ) throws(RuleSyntaxError) -> RuleOption {
    let (start, colon) = findEnd(close)
    guard index < close else {
      throw RuleSyntaxError("the last option has no ';' after it", at: close, hint: "add ';' before ')'")
    }
    let optionEnd = index
    index &+= 1
    let name = bytes.trimmed(start..<(colon < 0 ? optionEnd : colon))
    try check(name)
    var value = 0..<0
    if colon >= 0 {
      value = bytes.trimmed((colon &+ 1)..<optionEnd)
      try checkQuotes(value)
    }
    let location = text.location(of: name.lowerBound)
    let (keyword, number) = names.numberedName(bytes, name)
    // The source is shorter than `RuleFile.fileBytesMax`, so offsets fit 32 bits.
    return RuleOption(
      name: keyword, keywordNumber: number.flatMap { UInt16(exactly: $0) } ?? .max, source: text.source, nameOffset: UInt32(name.lowerBound),
      nameLength: UInt32(name.count), valueOffset: UInt32(value.lowerBound),
      valueLength: colon < 0 ? .max : UInt32(value.count), line: UInt32(location.line),
      column: UInt32(location.column))
  }

  /// Goes on to where an option ends. Apart and with places of its own, since each octet of each rule comes here.
  private mutating func findEnd(_ close: Int) -> (start: Int, colon: Int) {
    let bytes = self.bytes
    let start = index
    var at = start
    var colon = -1
    var before: UInt8 = 0
    while at < close {
      let byte = bytes[at]
      if byte == ASCII.semicolon, before != ASCII.backslash { break }
      if byte == ASCII.colon, colon < 0 { colon = at }
      before = byte
      at &+= 1
    }
    index = at
    return (start, colon)
  }

  private func check(_ name: Range<Int>) throws(RuleSyntaxError) {
    guard !name.isEmpty else {
      throw RuleSyntaxError("an option without a keyword", at: name.lowerBound, hint: "remove the extra ';' or ':'")
    }
    guard name.count <= Self.keywordBytesMax else {
      throw RuleSyntaxError(
        "a keyword of more than \(Self.keywordBytesMax) bytes", at: name.lowerBound,
        hint: "a ';' or ':' may be missing")
    }
    for index in name {
      let byte = bytes[index]
      guard ASCII.isSpace(byte) || byte == ASCII.quote else { continue }
      throw RuleSyntaxError(
        "'\(bytes[name].text)' is not a keyword", at: name.lowerBound,
        hint: "a ';' or ':' may be missing, or a ';' in the value before needs a '\\'")
    }
  }

  /// A value that opens with a quote must end with one: else a semicolon is missing, or one is not escaped.
  private func checkQuotes(_ value: Range<Int>) throws(RuleSyntaxError) {
    var first = value.lowerBound
    if first < value.upperBound, bytes[first] == ASCII.exclamation {
      first &+= 1
      while first < value.upperBound, ASCII.isSpace(bytes[first]) { first &+= 1 }
    }
    guard first < value.upperBound, bytes[first] == ASCII.quote else { return }
    let last = value.upperBound &- 1
    guard last > first, bytes[last] == ASCII.quote else {
      throw RuleSyntaxError(
        "the closing quote is missing", at: value.upperBound,
        hint: "a ';' may be missing after the quote, or one in the value needs a '\\' before it")
    }
  }

  private mutating func skipSpace() {
    while index < end, ASCII.isSpace(bytes[index]) { index &+= 1 }
  }
}
