import RuleLanguage

/// `iprep`: what lists say of the addresses of a packet.
///
/// - Source: Suricata "IP Reputation Keyword".
enum ReputationKeywords {
  static let table: [String: KeywordHandler] = ["iprep": iprep]

  private static let iprep: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    guard (3...4).contains(items.count) else {
      throw RuleValueError("takes a side, a category and a condition", hint: "iprep:src,BadHosts,>,10")
    }
    let sides: [String: ReputationCondition.Side] = [
      "any": .any, "src": .source, "dst": .destination, "both": .both,
    ]
    guard let side = sides[items[0].word] else { throw items[0].error("must be any, src, dst or both") }
    guard let table = reader.context.settings.reputation else {
      throw RuleValueError("needs reputation-categories-file and reputation-files in the configuration")
    }
    guard let category = table.category(items[1].text) else {
      throw items[1].error("there is no category \(items[1].text)")
    }
    let test: ReputationCondition.Test
    if items.count == 3 {
      switch items[2].word {
      case "isset": test = .isSet(true)
      case "isnotset": test = .isSet(false)
      default: test = .value(try NumericCondition.parse(items[2].bytes, max: UInt64(IPReputation.valueMax)))
      }
    } else {
      // The operator and the number stand apart.
      test = .value(try NumericCondition.parse(items[2].bytes + items[3].bytes, max: UInt64(IPReputation.valueMax)))
    }
    reader.add(.reputation(ReputationCondition(side: side, category: category, test: test, table: table)))
  }
}
