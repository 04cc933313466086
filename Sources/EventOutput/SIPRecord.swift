import AppLayer

/// The `sip` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: SIP".
public enum SIPRecord {
  /// Writes the members; the caller opens and closes the object.
  public static func write(_ tx: SIPTransaction, into json: inout JSONWriter) {
    if let method = tx.method { json.member("method", method) }
    if let target = tx.target { json.member("uri", target) }
    json.member("version", tx.version)
    if let code = tx.code { json.member("code", code) }
    if let reason = tx.reason { json.member("reason", reason) }
    json.member(tx.isResponse ? "response_line" : "request_line", tx.line)
  }
}
