import AppLayer
import RuleLanguage

/// Keywords about the frames of HTTP/2.
///
/// - Source: Suricata 8 "HTTP2 Keywords".
enum HTTP2Keywords {
  static let table: [String: KeywordHandler] = [
    "http2.frametype": frameType, "http2.errorcode": errorCode,
    "http2.priority": number(.http2Priority, UInt64(UInt8.max)),
    "http2.window": number(.http2Window, UInt64(UInt32.max)),
    "http2.size_update": number(.http2SizeUpdate, .max),
    "http2.settings": settings,
  ]

  private static func number(_ id: NumberID, _ max: UInt64) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      reader.limit(to: [.http2])
      reader.draft.transactionConditions.append(.number(id, try option.condition(max: max)))
    }
  }

  /// A name in whatever case, or a number.
  private static let frameType: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.limit(to: [.http2])
    let word = try option.word()
    let number =
      UInt8(word) ?? HTTP2FrameType.allCases.first { $0.ruleName == word.lowercased() }?.rawValue
    guard let number else { throw RuleValueError("\(word) is no frame type") }
    reader.draft.transactionConditions.append(.number(.http2FrameType, .equal(UInt64(number))))
  }

  private static let errorCode: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.limit(to: [.http2])
    let word = try option.word()
    let number =
      UInt32(word) ?? HTTP2ErrorCode.allCases.first { $0.ruleName == word.uppercased() }?.rawValue
    guard let number else { throw RuleValueError("\(word) is no error code") }
    reader.draft.transactionConditions.append(.number(.http2ErrorCode, .equal(UInt64(number))))
  }

  /// `SETTINGS_ENABLE_PUSH`, perhaps with a comparison of its value.
  private static let settings: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.limit(to: [.http2])
    let text = try option.word()
    let end = text.firstIndex { !$0.isLetter && !$0.isNumber && $0 != "_" } ?? text.endIndex
    let name = text[..<end].uppercased()
    guard let setting = HTTP2Setting.allCases.first(where: { $0.ruleName == name }) else {
      throw RuleValueError("\(name) is no setting of HTTP/2")
    }
    let rest = String(text[end...]).trimmed
    var condition: NumericCondition?
    if !rest.isEmpty { condition = try NumericCondition.parse(Array(rest.utf8), max: UInt64(UInt32.max)) }
    reader.draft.transactionConditions.append(
      .keyedNumber(.http2Setting, key: UInt64(setting.rawValue), condition))
  }
}
