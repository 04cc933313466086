/// What is known of a mail message.
public struct MIMEMessage: Sendable {
  /// Where reading it stands (EVE `email.status`).
  public enum Status: String, Sendable {
    case head = "HEADER_STARTED"
    case body = "BODY_STARTED"
    case done = "PARSE_DONE"
  }

  public struct Field: Sendable {
    /// Lower case.
    public let name: [UInt8]
    /// Unfolded, without blanks at its ends.
    public let value: [UInt8]
  }

  public internal(set) var status = Status.head
  /// The message's own head has been read.
  public internal(set) var hasHead = false
  /// Of the message's own head, in order.
  public internal(set) var fields: [Field] = []
  /// Names of the parts that have one, in order.
  public internal(set) var attachments: [[UInt8]] = []
  public internal(set) var urls: [[UInt8]] = []
  public internal(set) var bodyMD5: [UInt8]?

  /// The values of the fields of that name (lower case).
  public func values(_ name: StaticString) -> [[UInt8]] {
    fields.filter { HTTPText.equals($0.name, 0..<$0.name.count, name) }.map(\.value)
  }

  public func value(_ name: StaticString) -> [UInt8]? {
    fields.first { HTTPText.equals($0.name, 0..<$0.name.count, name) }?.value
  }

  public func value(named name: String) -> [UInt8]? {
    fields.first { $0.name.elementsEqual(name.utf8) }?.value
  }

  /// Addresses of a list: at commas outside of quotes and angle brackets.
  public static func addresses(_ value: [UInt8]) -> [[UInt8]] {
    var out: [[UInt8]] = []
    var start = 0
    var isQuoted = false
    for i in 0...value.count {
      if i < value.count {
        if value[i] == 34, i == 0 || value[i - 1] != 92 { isQuoted.toggle() }
        guard value[i] == 44, !isQuoted else { continue }
      }
      let range = HTTPText.trimmed(value, start..<i)
      if !range.isEmpty { out.append(Array(value[range])) }
      start = i + 1
    }
    return out
  }
}
