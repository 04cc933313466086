import AppLayer

/// The `fileinfo` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: Fileinfo".
public enum FileInfoRecord {
  /// Writes the members; the caller opens and closes the object.
  public static func write(
    _ file: TransferFile, transactionID: UInt64, into json: inout JSONWriter
  ) {
    if !file.name.isEmpty { json.member("filename", file.name) }
    if !file.sids.isEmpty {
      json.beginArray("sid")
      for sid in file.sids { json.number(sid) }
      json.endArray()
    }
    if let magic = file.magicForRecord { json.member("magic", magic) }
    json.member("gaps", file.hasGap)
    switch file.state {
    case .open: json.member("state", "UNKNOWN")
    case .closed:
      json.member("state", "CLOSED")
      write("md5", file.md5, into: &json)
      write("sha1", file.sha1, into: &json)
    case .truncated: json.member("state", "TRUNCATED")
    }
    write("sha256", file.sha256, into: &json)
    json.member("stored", file.isStored)
    if file.isStored {
      json.member("file_id", file.storeNumber)
    } else if file.isWanted {
      json.member("storing", true)
    }
    json.member("size", file.sizeBytes)
    if let part = file.part {
      json.member("start", part.lowerBound)
      json.member("end", part.upperBound)
    }
    json.member("tx_id", transactionID)
  }

  private static func write(_ key: StaticString, _ digest: [UInt8]?, into json: inout JSONWriter) {
    guard let digest, !digest.isEmpty else { return }
    json.member(key, hex(digest))
  }

  static func hex(_ octets: [UInt8]) -> [UInt8] {
    let digits = Array("0123456789abcdef".utf8)
    return octets.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
  }
}
