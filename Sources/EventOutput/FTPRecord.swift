import AppLayer

/// The `ftp` and `ftp_data` objects.
/// - Source: Suricata 8, EVE JSON format, "Event type: FTP", "Event type: FTP_DATA".
public enum FTPRecord {
  /// Writes the members; the caller opens and closes the object.
  public static func write(_ tx: FTPTransaction, into json: inout JSONWriter) {
    if let command = tx.command {
      json.member("command", command)
      if !tx.commandData.isEmpty || tx.isCommandCut {
        json.member("command_data", tx.commandData)
        json.member("command_truncated", tx.isCommandCut)
      }
    }
    write("completion_code", tx.completionCodes, into: &json)
    write("reply", tx.replies, into: &json)
    if let port = tx.dynamicPort { json.member("dynamic_port", port) }
    switch tx.mode {
    case .active: json.member("mode", "active")
    case .passive: json.member("mode", "passive")
    case nil: break
    }
    json.member("reply_received", tx.isAnswered ? "yes" : "no")
    json.member("reply_truncated", tx.isReplyCut)
  }

  private static func write(_ key: StaticString, _ values: [[UInt8]], into json: inout JSONWriter) {
    guard !values.isEmpty else { return }
    json.beginArray(key)
    for value in values { json.string(value) }
    json.endArray()
  }

  public static func write(_ tx: FTPDataTransaction, into json: inout JSONWriter) {
    if !tx.fileName.isEmpty { json.member("filename", tx.fileName) }
    if !tx.command.isEmpty { json.member("command", tx.command) }
  }
}
