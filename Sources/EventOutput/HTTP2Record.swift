import AppLayer
import Traffic

/// The `http` object of an HTTP/2 stream or frame.
/// - Source: Suricata 8, EVE JSON format, "Event type: HTTP", its `http2` object.
public enum HTTP2Record {
  /// Whether there is anything to tell: an acknowledgement, or a PING, says nothing.
  public static func isLoggable(_ tx: HTTP2Transaction) -> Bool {
    hasFields(tx.fromClient) || hasFields(tx.fromServer) || hasNumbers(tx.fromClient)
      || hasNumbers(tx.fromServer)
  }

  private static func hasFields(_ notes: HTTP2Notes) -> Bool { !notes.fields.entries.isEmpty }

  private static func hasNumbers(_ notes: HTTP2Notes) -> Bool {
    !notes.settings.isEmpty || !notes.goAwayCodes.isEmpty || !notes.resetCodes.isEmpty
      || !notes.priorities.isEmpty
  }

  /// Writes the members; the caller opens and closes the object.
  public static func write(_ tx: HTTP2Transaction, into json: inout JSONWriter) {
    json.member("version", "2")
    writeFields("request_headers", tx.fromClient.fields, into: &json)
    writeFields("response_headers", tx.fromServer.fields, into: &json)
    write("http_method", tx.methodView, into: &json)
    write("url", tx.pathView, into: &json)
    write("hostname", tx.authority, into: &json)
    write("http_user_agent", tx.value("user-agent", .toServer), into: &json)
    if let length = tx.contentLength { json.member("length", length) }
    if let status = tx.status { json.member("status", status) }
    json.beginObject("http2")
    json.member("stream_id", tx.streamID)
    writeNumbers("request", tx.fromClient, into: &json)
    writeNumbers("response", tx.fromServer, into: &json)
    json.endObject()
  }

  private static func write(_ key: StaticString, _ view: BufferView?, into json: inout JSONWriter) {
    guard let view else { return }
    json.key(key)
    json.string(view.storage.rawSpan.extracting(view.range))
  }

  private static func writeFields(
    _ key: StaticString, _ fields: HTTP2FieldList, into json: inout JSONWriter
  ) {
    guard !fields.entries.isEmpty else { return }
    json.beginArray(key)
    for entry in fields.entries {
      json.beginObject()
      if let size = entry.sizeUpdate {
        json.member("table_size_update", size)
      } else {
        json.key("name")
        json.string(fields.bytes.rawSpan.extracting(entry.name))
        json.key("value")
        json.string(fields.bytes.rawSpan.extracting(entry.value))
      }
      json.endObject()
    }
    json.endArray()
  }

  private static func writeNumbers(
    _ key: StaticString, _ notes: HTTP2Notes, into json: inout JSONWriter
  ) {
    guard hasNumbers(notes) else { return }
    json.beginObject(key)
    if !notes.settings.isEmpty {
      json.beginArray("settings")
      for setting in notes.settings {
        json.beginObject()
        let name = HTTP2Setting(rawValue: setting.id)?.recordName ?? "SETTINGSUNHANDLED(\(setting.id))"
        json.member("settings_id", text: name)
        json.member("settings_value", setting.value)
        json.endObject()
      }
      json.endArray()
    }
    if let code = notes.goAwayCodes.last {
      let name = HTTP2ErrorCode(rawValue: code)?.recordName.uppercased()
      json.member("error_code", text: name ?? String(code))
    } else if let code = notes.resetCodes.last {
      json.member("error_code", text: HTTP2ErrorCode(rawValue: code)?.recordName ?? String(code))
    }
    if let priority = notes.priorities.last { json.member("priority", priority) }
    json.endObject()
  }
}
