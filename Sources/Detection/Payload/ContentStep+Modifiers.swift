import RuleLanguage

extension ContentStep {
  /// Applies a modifier that stands behind this content in the rule.
  mutating func apply(_ option: RuleOption, _ variables: PayloadVariables) throws(RuleValueError) {
    let value = KeywordValue(option.value ?? [])
    // Source: Suricata refuses a modifier that a content has already.
    if has(option.name) { throw .misplaced("the content has \(option.name) already") }
    switch option.name {
    case "nocase": isCaseInsensitive = true
    case "rawbytes": break  // Suricata keeps it for old rules; the buffer named decides.
    case "startswith":
      guard offset == nil, depth == nil, !isRelative else {
        throw RuleValueError("startswith goes with none of offset, depth, distance, within")
      }
      startsWith = true
    case "endswith":
      endsWith = true
    case "offset": offset = try position(value, variables, option.name)
    case "depth":
      depth = try position(value, variables, option.name)
      if case .constant(let count)? = depth, count < bytes.count, !isNegated {
        throw RuleValueError(
          "depth \(count) is shorter than the content of \(bytes.count) octets",
          hint: "depth:\(bytes.count)")
      }
    case "distance":
      try checkIsNotAbsolute(option.name)
      distance = try value.operand(variables, range: -1_048_576...1_048_576)
    case "within":
      try checkIsNotAbsolute(option.name)
      within = try value.operand(variables, range: -1_048_576...1_048_576)
      if case .constant(let count)? = within, count < bytes.count {
        throw RuleValueError(
          "within \(count) is shorter than the content of \(bytes.count) octets",
          hint: "within:\(bytes.count)")
      }
    case "fast_pattern": fastPattern = try fastPatternRequest(value)
    case "replace":
      let pattern = try ContentPattern.parse(option.value ?? [])
      guard !isNegated, pattern.bytes.count == bytes.count else {
        throw RuleValueError("replace must be as long as its content, which must not be negated")
      }
      replacement = pattern.bytes
    default: throw RuleValueError("\(option.name) does not modify a content")
    }
  }

  private func has(_ modifier: String) -> Bool {
    switch modifier {
    case "nocase": isCaseInsensitive
    case "startswith": startsWith
    case "offset": offset != nil
    case "depth": depth != nil
    case "distance": distance != nil
    case "within": within != nil
    case "fast_pattern": fastPattern != nil
    default: false
    }
  }

  private func position(
    _ value: KeywordValue, _ variables: PayloadVariables, _ name: String
  ) throws(RuleValueError) -> Operand {
    guard !isRelative else { throw RuleValueError("\(name) does not go with distance or within") }
    guard !startsWith else { throw RuleValueError("\(name) does not go with startswith") }
    return try value.operand(variables, range: 0...65_535)
  }

  private func checkIsNotAbsolute(_ name: String) throws(RuleValueError) {
    guard offset == nil, depth == nil, !startsWith else {
      throw RuleValueError("\(name) does not go with offset, depth or startswith")
    }
  }

  private func fastPatternRequest(_ value: KeywordValue) throws(RuleValueError) -> FastPatternRequest {
    if value.text.isEmpty { return .whole }
    if value.text == "only" { return .only }
    let parts = value.list
    guard parts.count == 2, let start = Int(parts[0]), let length = Int(parts[1]), start >= 0, length > 0,
      start <= bytes.count, length <= bytes.count - start
    else {
      throw RuleValueError(
        "fast_pattern takes nothing, only, or an offset and length inside the content")
    }
    return .chop(offset: start, length: length)
  }
}
