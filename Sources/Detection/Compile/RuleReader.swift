import AppLayer
import RuleLanguage
import Traffic

/// Reads the options of one rule into a draft.
struct RuleReader {
  /// The steps over one buffer while they are being collected.
  struct Block {
    var subject: BufferStep.Subject
    var buffer: KnownBuffer?
    /// The side that a rule over both has named.
    var side: Direction?
    var builder = PayloadProgramBuilder()
  }

  let draft: RuleDraft
  let context: CompilerContext
  let names: VariableNames
  /// The first is the payload's.
  var blocks: [Block] = [Block(subject: .payload)]
  var current = 0
  /// Where the last content or pcre went: what modifiers and relative keywords refer to.
  var lastContentBlock = 0
  var variables = PayloadVariables()
  /// Something asks for a whole packet, so the payload is looked at packet by packet.
  var needsPacket = false
  var needsStream = false
  /// Protocols that a condition on transactions limits the rule to.
  var conditionProtocols: [AppProtocol]?
  /// A `!` stands in the addresses; Suricata then tries the rule on each packet.
  var hasNegatedAddresses = false
  /// `app-layer-protocol` stands in the rule.
  var asksForProtocol = false
  /// The kind of frames that the rule looks at.
  var frame: FrameKind?
  var warnings: [String] = []
  /// What `flow` options have asked for.
  var namedFlow = FlowCondition()
  /// The folder of the rule's file, where files that it names are looked for.
  var directory: String?

  init(draft: RuleDraft, context: CompilerContext, names: VariableNames) {
    self.draft = draft
    self.context = context
    self.names = names
  }

  mutating func read(_ option: RuleOption) throws(RuleValueError) {
    switch KeywordTable.use(of: option) {
    case .handled(let handler): try handler(&self, option)
    case .payload(let isValueless):
      if isValueless { try option.refuseValue() }
      try readPayload(option)
    case .buffer(let buffer): try select(buffer, side: try side(option, of: buffer.declaration))
    case .legacyModifier(let buffer):
      try option.refuseValue()
      try moveLastContent(to: buffer, option.name)
    case .header(let header):
      try option.refuseValue()
      try select(header)
    case nil: throw KeywordTable.unknown(option.name)
    }
  }

  /// Keywords about payloads that Suricata takes without a value only.
  static let valueless: Set<String> = [
    "nocase", "rawbytes", "startswith", "endswith", "base64_data", "dotprefix", "strip_whitespace",
    "compress_whitespace", "to_lowercase", "to_uppercase", "header_lowercase", "strip_pseudo_headers",
    "url_decode", "domain", "tld", "to_md5", "to_sha1", "to_sha256",
  ]

  mutating func add(_ condition: PacketCondition) {
    draft.conditions.append(.packet(condition))
    needsPacket = true
  }

  mutating func add(_ condition: StateCondition) { draft.conditions.append(.state(condition)) }

  // MARK: Payload

  private mutating func readPayload(_ option: RuleOption) throws(RuleValueError) {
    switch option.name {
    case "content":
      try blocks[current].builder.add(option, variables: &variables)
      lastContentBlock = current
    case "nocase", "offset", "depth", "distance", "within", "startswith", "endswith", "fast_pattern",
      "rawbytes":
      try blocks[lastContentBlock].builder.add(option, variables: &variables)
    case "replace":
      // Source: Suricata: only octets of a packet can be replaced, not those of a buffer.
      guard lastContentBlock == 0 else { throw RuleValueError("replace needs a content of the packet itself") }
      needsPacket = true
      try blocks[lastContentBlock].builder.add(option, variables: &variables)
    case "pcre":
      let index: Int
      if let buffer = try PayloadProgramBuilder.buffer(ofExpression: option) {
        guard let known = KeywordTable.known(buffer) else {
          throw RuleValueError("the buffer that the flags name is not supported")
        }
        index = block(for: known)
      } else {
        index = relativeBlock(option)
      }
      try blocks[index].builder.add(option, variables: &variables)
      lastContentBlock = index
    case let name where BufferTransform.keywords.contains(name):
      // Source: Suricata: "transforms must directly follow stickybuffers".
      guard current != 0 else {
        throw .misplaced("\(name) needs a sticky buffer before it", hint: "http.uri; \(name); content:\"…\"")
      }
      // Steps before a transform belong to the buffer as it is.
      if blocks[current].builder.hasSteps { startBlock(like: current) }
      try blocks[current].builder.add(option, variables: &variables)
    default:
      try blocks[relativeBlock(option)].builder.add(option, variables: &variables)
    }
  }

  /// Without a sticky buffer, what is relative belongs to the buffer of the content before it.
  private func relativeBlock(_ option: RuleOption) -> Int {
    guard current == 0, lastContentBlock != 0 else { return current }
    if option.name == "pcre" {
      guard let parsed = try? PCREValue.parse(option.value ?? []) else { return current }
      return parsed.flags.contains(UInt8(ascii: "R")) ? lastContentBlock : current
    }
    return option.valueText?.contains("relative") == true ? lastContentBlock : current
  }

  // MARK: Buffers

  mutating func select(_ buffer: KnownBuffer, side: Direction? = nil) throws(RuleValueError) {
    blocks[current].builder.resume()
    current = block(for: buffer, side: side, isSticky: true)
    lastContentBlock = current
  }

  /// `http.connection: to_client` in a rule over both directions: the side whose buffer is meant.
  ///
  /// - Source: Suricata 8 "Rules Format", transactional rules.
  private func side(_ option: RuleOption, of declaration: BufferDeclaration) throws(RuleValueError) -> Direction? {
    guard let value = option.value, !value.isEmpty, draft.isTransactional else {
      try option.refuseValue()
      return nil
    }
    let side = try Self.side(named: try option.word())
    guard declaration.sources.contains(where: { $0.direction == side }) else {
      throw RuleValueError("\(option.name) does not exist in that direction")
    }
    return side
  }

  static func side(named name: String) throws(RuleValueError) -> Direction {
    switch name {
    case "to_server": return .toServer
    case "to_client": return .toClient
    default: throw RuleValueError("\(name) is no direction", hint: "to_server or to_client")
    }
  }

  private mutating func select(_ header: PacketHeader) throws(RuleValueError) {
    needsPacket = true
    blocks[current].builder.resume()
    if let known = blocks.firstIndex(where: { $0.subject == .packetHeader(header) }) {
      current = known
    } else {
      blocks.append(Block(subject: .packetHeader(header)))
      current = blocks.count - 1
    }
  }

  mutating func selectFrame(_ kind: FrameKind) {
    blocks[current].builder.resume()
    if let known = blocks.firstIndex(where: { $0.subject == .frame(kind) && !$0.builder.hasTransforms }) {
      current = known
    } else {
      blocks.append(Block(subject: .frame(kind)))
      current = blocks.count - 1
    }
    lastContentBlock = current
  }

  /// `pkt_data`: back to the payload.
  mutating func selectPayload() {
    blocks[current].builder.resume()
    current = 0
  }

  /// The block that steps over a buffer are added to.
  ///
  /// A buffer that may occur several times gets a block for each time it is named: the steps of a
  /// block must hold in the same occurrence. Others get one, unless transforms set blocks apart.
  mutating func block(
    for buffer: KnownBuffer, side: Direction? = nil, isSticky: Bool = false
  ) -> Int {
    let (id, isMultiple) = (buffer.declaration.id, buffer.declaration.isMultiple)
    let known = blocks.lastIndex {
      $0.subject == .buffer(id) && $0.side == side && !$0.builder.hasTransforms
        && !(isSticky && isMultiple && $0.builder.hasSteps)
    }
    if let known { return known }
    blocks.append(Block(subject: .buffer(id), buffer: buffer, side: side))
    return blocks.count - 1
  }

  private mutating func startBlock(like index: Int) {
    blocks.append(
      Block(subject: blocks[index].subject, buffer: blocks[index].buffer, side: blocks[index].side))
    current = blocks.count - 1
  }

  private mutating func moveLastContent(
    to buffer: KnownBuffer, _ name: String
  ) throws(RuleValueError) {
    guard current == 0 else {
      throw .misplaced(
        "\(name) cannot follow a sticky buffer",
        hint: "put \(buffer.declaration.names.first ?? "the sticky buffer"); before the content instead")
    }
    guard let content = blocks[lastContentBlock].builder.takeLastContent() else {
      throw .misplaced("\(name) needs a content before it", hint: "content:\"…\"; \(name);")
    }
    let index = block(for: buffer)
    blocks[index].builder.append(content: content)
    lastContentBlock = index
  }
}
