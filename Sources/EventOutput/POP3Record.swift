import AppLayer

/// The `pop3` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: POP3".
public enum POP3Record {
  /// Writes the members; the caller opens and closes the object.
  public static func write(_ tx: POP3Transaction, into json: inout JSONWriter) {
    if let command = tx.command {
      json.beginObject("request")
      json.member("command", command)
      write("args", tx.recordedArguments, into: &json)
      json.endObject()
    }
    guard let isSuccess = tx.isSuccess else { return }
    json.beginObject("response")
    json.member("success", isSuccess)
    json.member("status", isSuccess ? "OK" : "ERR")
    json.member("header", tx.header)
    write("data", tx.data, into: &json)
    json.endObject()
  }

  private static func write(_ key: StaticString, _ values: [[UInt8]], into json: inout JSONWriter) {
    json.beginArray(key)
    for value in values { json.string(value) }
    json.endArray()
  }
}
