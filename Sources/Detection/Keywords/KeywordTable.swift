import AppLayer
import RuleLanguage

/// What a keyword does with the rule that is being read.
typealias KeywordHandler = @Sendable (inout RuleReader, RuleOption) throws(RuleValueError) -> Void

/// Every keyword that rules may use, by name.
public enum KeywordTable {
  static let handlers: [String: KeywordHandler] = [
    MetaKeywords.table, FlowKeywords.table, VariableKeywords.table, PacketKeywords.table,
    EventKeywords.table, TransactionKeywords.table, HTTP2Keywords.table, WebSocketKeywords.table,
    DatasetKeywords.table, FileKeywords.table, ReputationKeywords.table, FrameKeywords.table,
    FTPKeywords.table, DatagramKeywords.table, ConfigKeywords.table,
  ].reduce(into: [:]) { table, part in table.merge(part) { first, _ in first } }

  static let buffers: [String: BufferDeclaration] = BufferTable.all.reduce(into: [:]) { table, buffer in
    for name in buffer.names { table[name] = buffer }
  }

  static let legacyModifiers: [String: BufferDeclaration] = BufferTable.all.reduce(into: [:]) {
    table, buffer in
    for name in buffer.legacyModifiers { table[name] = buffer }
  }

  static let headers: [String: PacketHeader] = [
    "ipv4.hdr": .ipv4, "ipv6.hdr": .ipv6, "tcp.hdr": .tcp, "udp.hdr": .udp,
    "icmpv4.hdr": .icmpv4, "icmpv6.hdr": .icmpv6, "ip.src": .sourceAddress, "ip.dst": .destinationAddress,
  ]

  /// What is done with an option, by its name.
  enum Use: Sendable {
    case handled(KeywordHandler)
    case payload(isValueless: Bool)
    case buffer(KnownBuffer)
    case legacyModifier(KnownBuffer)
    case header(PacketHeader)
  }

  /// One table, since each of hundreds of thousands of options is looked up.
  static let uses: [String: Use] = {
    var uses = handlers.mapValues { Use.handled($0) }
    func add(_ name: String, _ use: Use) { if uses[name] == nil { uses[name] = use } }
    for name in PayloadProgramBuilder.keywords {
      add(name, .payload(isValueless: RuleReader.valueless.contains(name)))
    }
    for (name, declaration) in buffers { add(name, .buffer(KnownBuffer(declaration))) }
    for (name, declaration) in legacyModifiers { add(name, .legacyModifier(KnownBuffer(declaration))) }
    for (name, header) in headers { add(name, .header(header)) }
    return uses
  }()

  /// The names of ``uses`` as readers of files are given them, and the uses in that order: where a name is known by its
  /// number nothing is to be looked up.
  static let numberedNames = uses.keys.sorted()
  private static let numberedUses = numberedNames.map { uses[$0] }

  static func use(of option: RuleOption) -> Use? {
    let number = Int(option.keywordNumber)
    return number < numberedUses.count ? numberedUses[number] : uses[option.name]
  }

  /// The buffer's name in records of what was found in it.
  static func recordName(_ id: BufferID) -> String { recordNames[id] ?? "" }

  private static let recordNames: [BufferID: String] = declarations.mapValues { declaration in
    (declaration.names.first ?? "").map { $0 == "." ? "_" : String($0) }.joined()
  }

  private static let declarations: [BufferID: BufferDeclaration] = BufferTable.all.reduce(into: [:]) {
    $0[$1.id] = $1
  }

  static func declaration(_ id: BufferID) -> BufferDeclaration? { declarations[id] }

  static func known(_ id: BufferID) -> KnownBuffer? { knownBuffers[id] }
  private static let knownBuffers = declarations.mapValues(KnownBuffer.init)

  /// Names of all keywords, sorted.
  public static var names: [String] {
    var all = Set(handlers.keys)
    all.formUnion(buffers.keys)
    all.formUnion(legacyModifiers.keys)
    all.formUnion(headers.keys)
    all.formUnion(PayloadProgramBuilder.keywords)
    return all.sorted()
  }

  /// Keywords that are left out on purpose, or that Suricata itself refuses by now, and what to do.
  private static let refused: [String: String] = [
    "lua": "rules do not run programs: a script would have the rights of Sluice; write what it tests with other keywords",
    "luaxform": "rules do not run programs: a script would have the rights of Sluice; write what it tests with other keywords",
    "ssh.protoversion": "it is obsolete: use ssh.proto",
    "ssh.softwareversion": "it is obsolete: use ssh.software",
    "tls_store": "certificates are not stored as files: they can stand in the records of TLS (custom: certificate, chain)",
    "tls.store": "certificates are not stored as files: they can stand in the records of TLS (custom: certificate, chain)",
    "geoip": "the countries of addresses are not known: name the addresses in a variable or an iprep list",
  ]

  static func unknown(_ name: String) -> RuleValueError {
    if let reason = refused[name] { return .misplaced(reason) }
    return .misplaced(
      "the keyword is not known or not supported",
      hint: NearMatch.find(name, among: names).map { "did you mean \($0)?" })
  }
}

/// A buffer as rules choose it: an object, since a declaration has five lists that would be counted with each copy.
final class KnownBuffer: Sendable {
  let declaration: BufferDeclaration
  let recordName: String

  init(_ declaration: BufferDeclaration) {
    self.declaration = declaration
    recordName = KeywordTable.recordName(declaration.id)
  }
}

extension RuleOption {
  /// For values that are not looked at.
  func requireValue() throws(RuleValueError) {
    guard hasValue, valueByteCount > 0 else { throw .misplaced("a value is missing") }
  }

  /// The value, which must be there.
  func required() throws(RuleValueError) -> [UInt8] {
    guard let value, !value.isEmpty else { throw .misplaced("a value is missing") }
    return value
  }

  /// The value as text without blanks and quotes around it.
  func word() throws(RuleValueError) -> String {
    let bytes = try required()
    if let word = Self.plainWord(bytes) { return word }
    var text = String(decoding: bytes, as: UTF8.self).trimmed
    if text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") {
      text = String(text.dropFirst().dropLast())
    }
    return text
  }

  /// The same where both ends are ASCII, which spares looking at characters.
  private static func plainWord(_ bytes: [UInt8]) -> String? {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
    var first = 0
    var end = bytes.count
    while first < end, isBlank(bytes[first]) { first += 1 }
    while end > first, isBlank(bytes[end - 1]) { end -= 1 }
    guard first < end, bytes[first] < 0x80, bytes[end - 1] < 0x80 else { return nil }
    if end - first >= 2, bytes[first] == UInt8(ascii: "\""), bytes[end - 1] == UInt8(ascii: "\"") {
      first += 1
      end -= 1
    }
    return String(decoding: bytes[first..<end], as: UTF8.self)
  }

  func condition(max: UInt64) throws(RuleValueError) -> NumericCondition {
    try NumericCondition.parse(Array(try word().utf8), max: max)
  }

  func refuseValue() throws(RuleValueError) {
    guard !hasValue || valueByteCount == 0 else { throw RuleValueError("takes no value") }
  }
}
