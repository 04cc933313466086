import RuleLanguage

/// Keywords that say something about the rule.
///
/// - Source: Suricata "Meta Keywords", "Prefiltering Keywords".
enum MetaKeywords {
  static let table: [String: KeywordHandler] = [
    "msg": { (_, option) throws(RuleValueError) in try option.requireValue() }, "sid": { _, _ in }, "gid": { _, _ in }, "rev": { _, _ in },
    "metadata": { (_, option) throws(RuleValueError) in try option.requireValue() },
    "reference": reference, "classtype": classtype, "priority": priority, "target": target,
    "noalert": { (reader, option) throws(RuleValueError) in
      try option.refuseValue()
      reader.draft.isSilent = true
    },
    "alert": { (reader, option) throws(RuleValueError) in
      try option.refuseValue()
      reader.draft.isSilent = false
    },
    "bypass": { (reader, option) throws(RuleValueError) in
      try option.refuseValue()
      reader.draft.actions.append(.bypass)
    },
    // A wish about speed only: how rules are found is decided here.
    "prefilter": { (_, option) throws(RuleValueError) in try option.refuseValue() },
    "requires": requires, "tag": tag, "nfq_set_mark": setMark,
  ]

  /// `MARK/MASK`, each as C writes numbers.
  private static let setMark: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let parts = try option.word().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, let bits = number(parts[0]), let mask = number(parts[1]) else {
      throw RuleValueError("takes a mark and a mask of 32 bits", hint: "nfq_set_mark:0x8/0xff")
    }
    guard !reader.draft.actions.contains(where: { if case .mark = $0 { true } else { false } }) else {
      throw .misplaced("a rule sets the mark once")
    }
    reader.draft.actions.append(.mark(MarkChange(bits: bits, mask: mask)))
  }

  private static func number(_ text: String) -> UInt32? {
    let lower = text.trimmed.lowercased()
    let isHexadecimal = lower.hasPrefix("0x")
    let digits = isHexadecimal ? lower.dropFirst(2) : lower[...]
    guard digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else { return nil }
    return UInt32(digits, radix: isHexadecimal ? 16 : 10)
  }

  private static let reference: KeywordHandler = { (_, option) throws(RuleValueError) in
    try option.requireValue()
    guard option.valueContains(UInt8(ascii: ",")) else {
      throw RuleValueError("must be a kind and an identifier", hint: "reference:cve,2021-44228")
    }
  }

  private static let classtype: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let name = try option.word()
    reader.draft.info.className = name
    guard let entry = reader.context.settings.classification.entry(name) else {
      if !reader.context.settings.classification.entries.isEmpty {
        reader.warnings.append("classtype: \(name) is in no classification file")
      }
      return
    }
    // One string for all rules of the class.
    if entry.name == name { reader.draft.info.className = entry.name }
    reader.draft.info.classDescription = entry.description
    if !reader.draft.hasPriority { reader.draft.info.priority = entry.priority }
  }

  private static let priority: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let number = try RuleNumber.unsigned(Array(try option.word().utf8), in: 1...255)
    reader.draft.info.priority = UInt8(truncatingIfNeeded: number)
    reader.draft.hasPriority = true
  }

  private static let target: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let target: RuleInfo.Target
    switch try option.word() {
    case "src_ip": target = .source
    case "dest_ip": target = .destination
    default: throw RuleValueError("must be src_ip or dest_ip")
    }
    guard reader.draft.info.target.map({ $0 == target }) ?? true else {
      throw .misplaced("the rule names the other side as target already")
    }
    reader.draft.info.target = target
  }

  /// The version of Suricata whose rule language this is.
  private static let languageVersion = [8, 0, 2]

  private static let requires: KeywordHandler = { (reader, option) throws(RuleValueError) in
    for item in try RuleValueList.parse(try option.required()) {
      let words = item.text.split(separator: " ").map(String.init)
      switch words.first {
      case "version" where words.count >= 2:
        guard satisfiesVersion(words.dropFirst().joined(separator: " ")) else {
          throw RuleValueError("asks for \(item.text)", columnOffset: item.offset)
        }
      case "keyword" where words.count == 2:
        guard KeywordTable.names.contains(words[1]) else {
          throw RuleValueError("asks for the keyword \(words[1])", columnOffset: item.offset)
        }
      case "feature" where words.count == 2 && reader.context.settings.features.contains(words[1]): continue
      default: throw RuleValueError("asks for \(item.text), which is not there", columnOffset: item.offset)
      }
    }
  }

  /// `>= 7.0.3`, alternatives separated by `|`, all of several (`>= 7 < 8`).
  private static func satisfiesVersion(_ text: String) -> Bool {
    text.split(separator: "|").contains { alternative in
      let words = alternative.split(separator: " ").map(String.init)
      var index = 0
      while index < words.count {
        var sign = words[index]
        var number = ""
        let digits = sign.drop { !$0.isNumber }
        if digits.isEmpty {
          index += 1
          number = index < words.count ? words[index] : ""
        } else {
          number = String(digits)
          sign = String(sign.prefix(sign.count - digits.count))
        }
        index += 1
        let wanted = number.split(separator: ".").compactMap { Int($0) }
        let isBelow = languageVersion.lexicographicallyPrecedes(wanted)
        let isAbove = wanted.lexicographicallyPrecedes(languageVersion) && !languageVersion.starts(with: wanted)
        let isEqual = !isBelow && !isAbove
        let holds: Bool
        switch sign {
        case ">=": holds = isAbove || isEqual
        case ">": holds = isAbove
        case "<=": holds = isBelow || isEqual
        case "<": holds = isBelow
        default: holds = isEqual
        }
        if !holds { return false }
      }
      return !words.isEmpty
    }
  }

  /// `tag:session,10,packets`, `tag:host,30,seconds,src`; without numbers a session's next packets.
  private static let tag: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    var tag = TagAction(scope: .session, unit: .packets, count: TagAction.packetsDefault)
    switch items[0].word {
    case "session": break
    case "host": tag.scope = .destination
    default: throw items[0].error("must be session or host")
    }
    if items.count > 1 {
      guard (3...4).contains(items.count) else {
        throw RuleValueError("takes a scope, a number and a unit", hint: "tag:session,10,packets")
      }
      tag.count = try RuleNumber.unsigned(items[1].bytes, in: 1...UInt64(UInt32.max))
      switch items[2].word {
      case "packets": tag.unit = .packets
      case "seconds": tag.unit = .seconds
      case "bytes": tag.unit = .octets
      default: throw items[2].error("must be packets, seconds or bytes")
      }
    }
    if items.count == 4 {
      switch items[3].word {
      case "src": if tag.scope != .session { tag.scope = .source }
      case "dst": break
      default: throw items[3].error("must be src or dst")
      }
      if tag.scope == .session { reader.warnings.append("tag: src and dst mean nothing for a session") }
    }
    reader.draft.tags.append(tag)
  }
}
