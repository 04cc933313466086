import AppLayer
import CSluicePCRE2
import RuleLanguage

/// A `pcre` option in the terms of PCRE2.
struct ExpressionValue {
  var pattern: [UInt8]
  var options: UInt32 = 0
  var isNegated: Bool
  var isRelative = false
  var captures: [(PayloadCapture.Scope, String)]

  static func parse(_ value: [UInt8]) throws(RuleValueError) -> ExpressionValue {
    let parsed = try PCREValue.parse(value)
    var result = ExpressionValue(
      pattern: parsed.pattern, isNegated: parsed.isNegated,
      captures: parsed.captures.map {
        (PayloadCapture.Scope($0.scope), String(decoding: $0.name, as: UTF8.self))
      })
    for (index, flag) in parsed.flags.enumerated() {
      guard result.take(flag) || buffer(of: flag) != nil else {
        throw RuleValueError(
          "pcre has no flag \(Character(Unicode.Scalar(flag)))", columnOffset: parsed.flagsOffset + index)
      }
    }
    return result
  }

  /// - Returns: false for a letter that is no flag, or one that names a buffer.
  private mutating func take(_ flag: UInt8) -> Bool {
    switch Character(Unicode.Scalar(flag)) {
    case "i": options |= UInt32(PCRE2_CASELESS)
    case "m": options |= UInt32(PCRE2_MULTILINE)
    case "s": options |= UInt32(PCRE2_DOTALL)
    case "x": options |= UInt32(PCRE2_EXTENDED)
    case "A": options |= UInt32(bitPattern: Int32(bitPattern: UInt32(PCRE2_ANCHORED)))
    case "E": options |= UInt32(PCRE2_DOLLAR_ENDONLY)
    case "G": options |= UInt32(PCRE2_UNGREEDY)
    case "R": isRelative = true
    // B (raw bytes) and O (no match limit) have no meaning of their own here.
    case "B", "O": break
    default: return false
    }
    return true
  }

  /// The buffer that a letter of old moves the expression to.
  /// - Source: Suricata "Payload Keywords", pcre, HTTP modifiers.
  static func buffer(of flag: UInt8) -> BufferID? {
    switch Character(Unicode.Scalar(flag)) {
    case "U": .httpURI
    case "I": .httpURIRaw
    case "P": .httpRequestBody
    case "Q": .httpResponseBody
    case "H": .httpHeader
    case "D": .httpHeaderRaw
    case "M": .httpMethod
    case "C": .httpCookie
    case "S": .httpStatusCode
    case "Y": .httpStatusMessage
    case "V": .httpUserAgent
    case "W": .httpHost
    case "Z": .httpHostRaw
    default: nil
    }
  }
}

extension PayloadCapture.Scope {
  init(_ scope: PCREValue.Capture.Scope) {
    switch scope {
    case .flow: self = .flow
    case .pkt: self = .packet
    case .alert: self = .alert
    }
  }
}

extension PayloadProgramBuilder {
  /// The buffer that the flags of a `pcre` option name, if they do.
  /// - Throws: where the option is malformed or names more than one.
  public static func buffer(ofExpression option: RuleOption) throws(RuleValueError) -> BufferID? {
    let parsed = try PCREValue.parse(option.value ?? [])
    let buffers = parsed.flags.compactMap(ExpressionValue.buffer)
    guard buffers.count <= 1 else {
      throw RuleValueError("the flags name more than one buffer", columnOffset: parsed.flagsOffset)
    }
    return buffers.first
  }
}
