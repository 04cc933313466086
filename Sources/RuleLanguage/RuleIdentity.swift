/// The numbers by which a rule is known.
struct RuleIdentity {
  var sid: UInt32 = 0
  var gid: UInt32 = 1
  var rev: UInt32 = 0

  /// Reads them out of the options: sid is required and not 0; msg, sid, gid and rev may stand once.
  init(_ options: [RuleOption], at text: RuleText) throws(RuleSyntaxError) {
    var hasSid = false
    var hasGid = false
    var hasRev = false
    var hasMessage = false
    // All of them have three letters.
    for option in options where option.nameLength == 3 {
      switch option.name {
      case "sid": sid = try Self.number(option, &hasSid)
      case "gid": gid = try Self.number(option, &hasGid)
      case "rev": rev = try Self.number(option, &hasRev)
      case "msg": try Self.once(option, &hasMessage)
      default: continue
      }
    }
    guard hasSid else {
      throw RuleSyntaxError("the rule has no sid", at: text.range.lowerBound, hint: "add sid:<number>;")
    }
  }

  private static func once(_ option: RuleOption, _ isKnown: inout Bool) throws(RuleSyntaxError) {
    guard !isKnown else {
      throw RuleSyntaxError("\(option.name) stands twice", at: Int(option.nameOffset))
    }
    isKnown = true
    if option.name == "msg" {
      do throws(RuleValueError) { _ = try QuotedString.inside(option.value ?? []) } catch {
        throw RuleSyntaxError(
          "msg: \(error.message)", at: Int(option.nameOffset), hint: error.hint)
      }
    }
  }

  private static func number(_ option: RuleOption, _ isKnown: inout Bool) throws(RuleSyntaxError) -> UInt32 {
    try once(option, &isKnown)
    guard let value = option.value, let number = DecimalNumber.parse(value),
      let result = UInt32(exactly: number), result > 0 || option.name != "sid"
    else {
      throw RuleSyntaxError(
        "\(option.name) must be a number between \(option.name == "sid" ? 1 : 0) and \(UInt32.max)",
        at: Int(option.hasValue ? option.valueOffset : option.nameOffset))
    }
    return result
  }
}
