import AppLayer
import RuleLanguage
import Traffic

/// Keywords about files in transfer that are no sticky buffers.
///
/// - Source: Suricata "File Keywords".
enum FileKeywords {
  static let table: [String: KeywordHandler] = [
    "filename": text(.fileName), "filemagic": text(.fileMagic), "fileext": fileext,
    "filesize": filesize, "filemd5": digest(.md5, width: 16), "filesha1": digest(.sha1, width: 20),
    "filesha256": digest(.sha256, width: 32), "filestore": filestore,
  ]

  /// Protocols that carry files.
  static let protocols: [AppProtocol] =
    KeywordTable.declaration(.fileData).map { declaration in
      var result: [AppProtocol] = []
      for source in declaration.sources where !result.contains(source.appProtocol) {
        result.append(source.appProtocol)
      }
      return result
    } ?? []

  /// A part of the name or type, whatever its case.
  private static func text(_ buffer: BufferID) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      let pattern = try ContentPattern.parse(try quoted(option))
      var content = ContentStep(bytes: pattern.bytes, isNegated: pattern.isNegated)
      content.isCaseInsensitive = true
      try reader.edit(buffer) { builder throws(RuleValueError) in builder.append(content: content) }
    }
  }

  /// The whole of what stands behind the last dot of the name.
  private static let fileext: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let pattern = try ContentPattern.parse(try quoted(option))
    var content = ContentStep(
      bytes: [UInt8(ascii: ".")] + pattern.bytes, isNegated: pattern.isNegated)
    content.isCaseInsensitive = true
    content.endsWith = true
    try reader.edit(.fileName) { builder throws(RuleValueError) in builder.append(content: content) }
  }

  private static let filesize: KeywordHandler = { (reader, option) throws(RuleValueError) in
    var value = Array(try option.word().utf8)
    // In a rule over both directions the way of the file stands before the size.
    if reader.draft.isTransactional, let comma = value.firstIndex(of: UInt8(ascii: ",")) {
      let side = try RuleReader.side(named: String(decoding: value[..<comma], as: UTF8.self).trimmed)
      guard reader.draft.fileSide ?? side == side else {
        throw RuleValueError("a rule asks about files of one direction")
      }
      reader.draft.fileSide = side
      value = Array(String(decoding: value[(comma + 1)...], as: UTF8.self).trimmed.utf8)
    }
    reader.add(.size(try NumericCondition.parse(value, max: .max)))
  }

  private static func digest(_ kind: Digest, width: Int) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      var name = try option.word()
      let isNegated = name.hasPrefix("!")
      if isNegated { name = String(name.dropFirst()).trimmed }
      guard !name.isEmpty else { throw RuleValueError("a file of digests is missing") }
      var places = [name]
      if !name.hasPrefix("/"), let directory = reader.directory { places.insert(directory + "/" + name, at: 0) }
      guard let bytes = places.lazy.compactMap({ DatasetStore.read($0) }).first else {
        throw RuleValueError("the file \(name) cannot be read")
      }
      let list = try FileHashList(lines: bytes, width: width, file: name)
      reader.add(.digest(kind, list, isNegated: isNegated))
    }
  }

  private static let filestore: KeywordHandler = { (reader, option) throws(RuleValueError) in
    guard reader.draft.fileStore == nil else { throw RuleValueError("stands in the rule already") }
    var action = FileStoreAction()
    if let value = option.value, !value.isEmpty {
      let items = try RuleValueList.parse(value)
      guard items.count <= 2 else { throw RuleValueError("takes a direction and a scope", hint: "filestore:both,flow") }
      switch items[0].word {
      case "request", "to_server": action.directions = [.toServer]
      case "response", "to_client": action.directions = [.toClient]
      case "both": action.directions = [.toServer, .toClient]
      default: throw items[0].error("the direction must be request, response, to_server, to_client or both")
      }
      if items.count == 2 {
        switch items[1].word {
        case "file": action.scope = .file
        case "tx": action.scope = .transaction
        case "ssn", "flow": action.scope = .flow
        default: throw items[1].error("the scope must be file, tx, ssn or flow")
        }
      }
    }
    reader.draft.fileStore = action
    reader.add(.exists)
  }

  /// Old rules leave the quotes out.
  private static func quoted(_ option: RuleOption) throws(RuleValueError) -> [UInt8] {
    let value = try option.required()
    if value.contains(UInt8(ascii: "\"")) { return value }
    if value.first == UInt8(ascii: "!") { return Array("!\"".utf8) + value.dropFirst() + Array("\"".utf8) }
    return Array("\"".utf8) + value + Array("\"".utf8)
  }
}

extension RuleReader {
  mutating func add(_ condition: FileCondition) {
    limit(to: FileKeywords.protocols)
    draft.fileConditions.append(condition)
  }
}

extension RuleDraft {
  var usesHASSH: Bool {
    buffers.contains { step in
      switch step.subject {
      case .buffer(.hassh), .buffer(.hasshString), .buffer(.hasshServer), .buffer(.hasshServerString): true
      default: false
      }
    }
  }

  /// What must be found out about files for the rule.
  var fileNeeds: FileNeeds {
    var needs: FileNeeds = fileStore == nil ? [] : .store
    for condition in fileConditions { needs.formUnion(condition.needs) }
    if buffers.contains(where: { $0.subject == .buffer(.fileMagic) }) { needs.insert(.magic) }
    return needs
  }
}
