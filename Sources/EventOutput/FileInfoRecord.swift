import AppLayer

/// The `fileinfo` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: Fileinfo".
public enum FileInfoRecord {
  /// Writes the members; the caller opens and closes the object.
  public static func write(
    _ file: FileRecord, transactionID: UInt64, into json: inout JSONWriter
  ) {
    if !file.name.isEmpty { json.member("filename", file.name) }
    json.member("gaps", file.hasGap)
    switch file.state {
    case .open: json.member("state", "UNKNOWN")
    case .closed: json.member("state", "CLOSED")
    case .truncated: json.member("state", "TRUNCATED")
    }
    json.member("stored", false)
    json.member("size", file.sizeBytes)
    json.member("tx_id", transactionID)
  }
}
