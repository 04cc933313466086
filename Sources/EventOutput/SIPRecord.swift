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
    if let description = tx.description { write(description, into: &json) }
  }

  private static func write(_ session: SDPDescription, into json: inout JSONWriter) {
    json.beginObject("sdp")
    json.member("origin", ifPresent: session.origin)
    json.member("session_name", ifPresent: session.name)
    json.member("session_info", ifPresent: session.info)
    json.member("uri", ifPresent: session.uri)
    json.member("email", ifPresent: session.email)
    json.member("phone_number", ifPresent: session.phone)
    json.member("connection_data", ifPresent: session.connection)
    write("bandwidths", session.bandwidths, into: &json)
    if !session.times.isEmpty {
      json.beginArray("time_descriptions")
      for time in session.times {
        json.beginObject()
        json.member("time", time.time)
        json.member("repeat_time", ifPresent: time.repeatTime)
        json.endObject()
      }
      json.endArray()
    }
    json.member("timezone", ifPresent: session.timeZone)
    json.member("encryption_key", ifPresent: session.encryptionKey)
    write("attributes", session.attributes, into: &json)
    if !session.media.isEmpty {
      json.beginArray("media_descriptions")
      for media in session.media { write(media, into: &json) }
      json.endArray()
    }
    json.endObject()
  }

  private static func write(_ media: SDPDescription.Media, into json: inout JSONWriter) {
    json.beginObject()
    json.member("media", media.media)
    json.member("media_info", ifPresent: media.info)
    write("bandwidths", media.bandwidths, into: &json)
    json.member("connection_data", ifPresent: media.connection)
    json.member("encryption_key", ifPresent: media.encryptionKey)
    write("attributes", media.attributes, into: &json)
    json.endObject()
  }

  private static func write(_ key: StaticString, _ values: [[UInt8]], into json: inout JSONWriter) {
    guard !values.isEmpty else { return }
    json.beginArray(key)
    for value in values { json.string(value) }
    json.endArray()
  }
}
