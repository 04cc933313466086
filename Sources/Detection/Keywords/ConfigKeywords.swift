import RuleLanguage

/// `config`: a match changes what is written of a transaction or of its flow.
///
/// - Source: Suricata 8 "Config Rules". There only records of the matching transaction can be turned off, and other
///   types and scopes are taken without effect; here they do what they say.
enum ConfigKeywords {
  static let table: [String: KeywordHandler] = ["config": config]

  private static let config: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    guard items.count == 3 else {
      throw RuleValueError(
        "takes a setting, a type and a scope", hint: "config:logging disable, type tx, scope tx")
    }
    let setting = words(items[0])
    guard setting.first == "logging" else {
      throw items[0].error(
        setting.first == "tracking"
          ? "tracking cannot be turned off: a packet without a flow would not be inspected" : "must be logging disable")
    }
    guard setting.count == 2, setting[1] == "disable" else { throw items[0].error("logging can only be disabled") }
    switch (words(items[1]), words(items[2])) {
    case (["type", "tx"], ["scope", "tx"]): reader.draft.actions.append(.silence(.transaction))
    case (["type", "tx"], ["scope", "flow"]): reader.draft.actions.append(.silence(.transactionsOfFlow))
    case (["type", "flow"], ["scope", "flow"]): reader.draft.actions.append(.silence(.flow))
    case (["type", "flow"], ["scope", "tx"]): throw items[2].error("a flow is more than a transaction")
    case (["type", "tx"], _), (["type", "flow"], _): throw items[2].error("the scope must be tx or flow")
    default: throw items[1].error("the type must be tx or flow")
    }
  }

  private static func words(_ item: RuleValueItem) -> [String] { item.text.split(separator: " ").map(String.init) }
}

/// What of a flow is not written any more.
enum SilencedRecords: Sendable {
  /// The record of the transaction that matched.
  case transaction
  /// Those of all transactions of its flow.
  case transactionsOfFlow
  /// That of the flow itself.
  case flow
}
