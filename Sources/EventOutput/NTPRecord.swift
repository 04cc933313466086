import AppLayer

/// The `ntp` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: NTP".
public enum NTPRecord {
  /// Writes the members; the caller opens and closes the object.
  public static func write(_ tx: NTPTransaction, into json: inout JSONWriter) {
    json.member("version", tx.version)
    json.member("mode", tx.mode)
    if let stratum = tx.stratum { json.member("stratum", stratum) }
    if let identifier = tx.referenceID { json.member("reference_id", OctetText.colons(identifier)) }
  }
}

/// Octets in words.
enum OctetText {
  /// `4c:4f:43:4c`.
  static func colons(_ octets: [UInt8]) -> [UInt8] {
    Array(octets.map { FileInfoRecord.hex([$0]) }.joined(separator: [UInt8(ascii: ":")]))
  }

  /// `192.0.2.1`.
  static func address(_ octets: some Collection<UInt8>) -> [UInt8] {
    Array(octets.map { Array(String($0).utf8) }.joined(separator: [UInt8(ascii: ".")]))
  }
}
