import AppLayer
import RuleLanguage
import Traffic

/// `tls_cert_notbefore`, `tls_cert_notafter`, `tls_cert_expired` and `tls_cert_valid`: when the certificate of
/// the server holds.
///
/// - Source: Suricata "SSL/TLS Keywords". Dates are of UTC: `2020`, `2020-10`, `2020-10-01`, with hours, minutes
///   and seconds behind a blank or a T; or seconds since 1970.
extension TransactionKeywords {
  static func date(_ id: NumberID) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      reader.limit(to: [.tls])
      reader.limitDirection(.toClient)
      reader.draft.transactionConditions.append(.number(id, try condition(try option.word())))
    }
  }

  static func validity(_ isValid: Bool) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      try option.refuseValue()
      reader.limit(to: [.tls])
      reader.limitDirection(.toClient)
      reader.draft.transactionConditions.append(.certificateValidity(isValid: isValid))
    }
  }

  private static func condition(_ text: String) throws(RuleValueError) -> NumericCondition {
    let text = text.trimmed
    if let middle = text.firstRange(of: "<>") {
      let low = try seconds(String(text[..<middle.lowerBound]))
      let high = try seconds(String(text[middle.upperBound...]))
      guard low < high else { throw RuleValueError("the first date must be before the second") }
      return .between(low: low, high: high)
    }
    if text.hasPrefix("<") { return .less(try seconds(String(text.dropFirst()))) }
    if text.hasPrefix(">") { return .greater(try seconds(String(text.dropFirst()))) }
    return .equal(try seconds(text))
  }

  private static func seconds(_ text: String) throws(RuleValueError) -> UInt64 {
    let parts = text.trimmed.split { !$0.isNumber }.compactMap { Int64($0) }
    let marks = text.trimmed.filter { !$0.isNumber }
    let separators = ["", "-", "--", "-- ", "-- :", "-- ::", "--T", "--T:", "--T::"]
    guard separators.contains(marks), parts.count == marks.count + 1 else {
      throw RuleValueError("\(text) is no date", hint: "2020-10-01 or 2020-10-01T12:30:00")
    }
    if parts.count == 1, parts[0] > 9999 { return UInt64(clamping: parts[0]) }
    func part(_ index: Int, _ unset: Int64) -> Int64 { index < parts.count ? parts[index] : unset }
    let limits: [ClosedRange<Int64>] = [1970...9999, 1...12, 1...31, 0...23, 0...59, 0...60]
    for index in parts.indices where !limits[index].contains(parts[index]) {
      throw RuleValueError("\(text) is no date", hint: "2020-10-01 or 2020-10-01T12:30:00")
    }
    let days = daysSince1970(part(0, 1970), part(1, 1), part(2, 1))
    return UInt64(clamping: ((days * 24 + part(3, 0)) * 60 + part(4, 0)) * 60 + part(5, 0))
  }

  /// Days of the civil calendar; years are counted from March, so that a leap day is the last of one.
  private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month > 2 ? year : year - 1
    let (era, ofEra) = (shifted / 400, shifted % 400)
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + dayOfYear - 719_468
  }
}
