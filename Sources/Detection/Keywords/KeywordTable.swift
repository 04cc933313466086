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

  private static let declarations: [BufferID: BufferDeclaration] = BufferTable.all.reduce(into: [:]) {
    $0[$1.id] = $1
  }

  static func declaration(_ id: BufferID) -> BufferDeclaration? { declarations[id] }

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
    "geoip": "the countries of addresses are not known: name the addresses in a variable or an iprep list",
  ]

  static func unknown(_ name: String) -> RuleValueError {
    if let reason = refused[name] { return .misplaced(reason) }
    return .misplaced(
      "the keyword is not known or not supported",
      hint: NearMatch.find(name, among: names).map { "did you mean \($0)?" })
  }
}

extension RuleOption {
  /// The value, which must be there.
  func required() throws(RuleValueError) -> [UInt8] {
    guard let value, !value.isEmpty else { throw .misplaced("a value is missing") }
    return value
  }

  /// The value as text without blanks and quotes around it.
  func word() throws(RuleValueError) -> String {
    var text = String(decoding: try required(), as: UTF8.self).trimmed
    if text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") {
      text = String(text.dropFirst().dropLast())
    }
    return text
  }

  func condition(max: UInt64) throws(RuleValueError) -> NumericCondition {
    try NumericCondition.parse(Array(try word().utf8), max: max)
  }

  func refuseValue() throws(RuleValueError) {
    guard !hasValue || value?.isEmpty == true else { throw RuleValueError("takes no value") }
  }
}
