import AppLayer

/// The `tftp` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: TFTP".
public enum TFTPRecord {
  /// Writes the members; the caller opens and closes the object.
  public static func write(_ tx: TFTPTransaction, into json: inout JSONWriter) {
    json.member("packet", tx.isWrite ? "write" : "read")
    json.member("file", tx.file)
    json.member("mode", tx.mode)
  }
}
