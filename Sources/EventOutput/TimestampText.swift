import Traffic

/// Writes points in time as EVE has them: "2017-06-08T15:45:58.525601+0000", always UTC.
///
/// Keeps the text of the second written last, since events come in the order of time.
public struct TimestampText {
  private var second: Int64 = .min
  private var text: [UInt8] = []

  public init() {}

  public mutating func append(_ time: Timestamp, to out: inout [UInt8]) {
    // Floor division: times before 1970 have a positive fraction too.
    let fraction = time.microsecondsOfSecond
    let seconds = time.seconds - (time.nanoseconds % 1_000_000_000 < 0 ? 1 : 0)
    if seconds != second || text.isEmpty {
      second = seconds
      text.removeAll(keepingCapacity: true)
      Self.appendSeconds(seconds, to: &text)
    }
    out.append(text.rawSpan)
    out.append(UInt8(ascii: "."))
    JSONText.appendDecimal(UInt64(max(0, fraction)), width: 6, to: &out)
    out += "+0000".utf8
  }

  /// Without fraction and zone: "2015-02-12T18:07:27" (dates of certificates).
  public static func appendSeconds(_ seconds: Int64, to out: inout [UInt8]) {
    let days = seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400
    let time = UInt64(seconds - days * 86400)
    // Days are counted from 0000-03-01, so that the leap day ends a year.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let isNextYear = month >= 10
    let year = yearOfEra + era * 400 + (isNextYear ? 1 : 0)
    JSONText.appendDecimal(UInt64(max(0, year)), width: 4, to: &out)
    out.append(UInt8(ascii: "-"))
    JSONText.appendDecimal(UInt64(isNextYear ? month - 9 : month + 3), width: 2, to: &out)
    out.append(UInt8(ascii: "-"))
    JSONText.appendDecimal(UInt64(dayOfYear - (153 * month + 2) / 5 + 1), width: 2, to: &out)
    out.append(UInt8(ascii: "T"))
    JSONText.appendDecimal(time / 3600, width: 2, to: &out)
    out.append(UInt8(ascii: ":"))
    JSONText.appendDecimal(time / 60 % 60, width: 2, to: &out)
    out.append(UInt8(ascii: ":"))
    JSONText.appendDecimal(time % 60, width: 2, to: &out)
  }
}
