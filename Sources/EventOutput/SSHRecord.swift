import AppLayer

/// The `ssh` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: SSH".
public enum SSHRecord {
  /// There is something to tell.
  static func isLoggable(_ tx: SSHTransaction) -> Bool { tx.client.version != nil || tx.server.version != nil }

  /// Writes the members; the caller opens and closes the object.
  public static func write(_ tx: SSHTransaction, into json: inout JSONWriter) {
    write("client", tx.client, into: &json)
    write("server", tx.server, into: &json)
  }

  private static func write(_ key: StaticString, _ side: SSHSide, into json: inout JSONWriter) {
    guard let version = side.version else { return }
    json.beginObject(key)
    json.member("proto_version", version)
    if let software = side.software { json.member("software_version", software) }
    if let fingerprint = side.fingerprint, let offer = side.offer {
      json.beginObject("hassh")
      json.member("hash", fingerprint)
      json.member("string", offer)
      json.endObject()
    }
    json.endObject()
  }
}
