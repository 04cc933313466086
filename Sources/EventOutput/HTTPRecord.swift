import AppLayer
import Traffic

/// The `http` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: HTTP".
public enum HTTPRecord {
  /// Writes the members; the caller opens and closes the object.
  public static func write(
    _ tx: HTTPTransaction, settings: EVESettings.HTTP, into json: inout JSONWriter
  ) {
    write("hostname", tx.hostname, into: &json)
    if let port = tx.hostPort { json.member("http_port", port) }
    write("url", tx.url, into: &json)
    write("http_user_agent", tx.userAgent, into: &json)
    write("xff", tx.header("x-forwarded-for", .toServer), into: &json)
    write("http_content_type", tx.responseContentType, into: &json)
    if let range = tx.contentRange { writeContentRange(range, into: &json) }
    if settings.isExtended {
      write("http_refer", tx.referer, into: &json)
      write("http_method", tx.method, into: &json)
      write("protocol", tx.protocolText, into: &json)
      if let status = tx.status {
        json.member("status", status)
      } else {
        write("status_string", tx.statusText, into: &json)
      }
      write("redirect", tx.redirect, into: &json)
      json.member("length", tx.responseLengthBytes)
    }
    for name in settings.custom { writeCustom(name, tx, into: &json) }
    if settings.dumpsRequestHeaders {
      writeHeaders("request_headers", tx.headers(.toServer), into: &json)
    }
    if settings.dumpsResponseHeaders {
      writeHeaders("response_headers", tx.headers(.toClient), into: &json)
    }
  }

  /// What is still there of the bodies, for alerts.
  /// - Source: Suricata 8, EVE JSON format, `http-body`.
  static func writeBodies(_ tx: HTTPTransaction, _ settings: EVESettings.Alert, into json: inout JSONWriter) {
    for (buffer, direction, key, printableKey) in [
      (.httpRequestBody, .toServer, "http_request_body", "http_request_body_printable"),
      (.httpResponseBody, .toClient, "http_response_body", "http_response_body_printable"),
    ] as [(BufferID, Direction, StaticString, StaticString)] {
      guard let view = tx.buffer(buffer, direction, index: 0), view.count > 0 else { continue }
      let shown = view.storage.rawSpan.extracting(view.range).extracting(first: settings.payloadOctetsMax)
      if settings.logsHTTPBody {
        json.key(key)
        json.string { JSONText.appendBase64(shown, to: &$0) }
      }
      if settings.logsPrintableHTTPBody {
        json.key(printableKey)
        json.string { JSONText.appendPrintable(shown, to: &$0) }
      }
    }
  }

  private static func write(
    _ key: StaticString, _ view: BufferView?, into json: inout JSONWriter
  ) {
    guard let view else { return }
    json.key(key)
    json.string(view.storage.rawSpan.extracting(view.range))
  }

  /// A named field of either head, with dashes as underscores.
  private static func writeCustom(
    _ name: String, _ tx: HTTPTransaction, into json: inout JSONWriter
  ) {
    guard let view = tx.header(name, .toServer) ?? tx.header(name, .toClient) else { return }
    json.key(text: name.lowercased().utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 })
    json.string(view.storage.rawSpan.extracting(view.range))
  }

  private static func writeHeaders(
    _ key: StaticString, _ fields: [HTTPFieldView], into json: inout JSONWriter
  ) {
    guard !fields.isEmpty else { return }
    json.beginArray(key)
    for field in fields {
      json.beginObject()
      write("name", field.name, into: &json)
      write("value", field.value, into: &json)
      json.endObject()
    }
    json.endArray()
  }

  private static func writeContentRange(_ view: BufferView, into json: inout JSONWriter) {
    json.beginObject("content_range")
    write("raw", view, into: &json)
    if let range = range(view) {
      json.member("start", range.start)
      json.member("end", range.end)
      if let size = range.size { json.member("size", size) }
    }
    json.endObject()
  }

  /// "bytes 500-1000/146515" (RFC 9110 section 14.4) in numbers, where it has them.
  static func range(_ view: BufferView) -> (start: UInt64, end: UInt64, size: UInt64?)? {
    var numbers: [UInt64] = []
    var current: UInt64?
    var separators: [UInt8] = []
    for byte in view.storage[view.range] {
      if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
        current = (current ?? 0) &* 10 &+ UInt64(byte - UInt8(ascii: "0"))
      } else {
        if let number = current { numbers.append(number) }
        current = nil
        if byte == UInt8(ascii: "-") || byte == UInt8(ascii: "/") { separators.append(byte) }
      }
    }
    if let number = current { numbers.append(number) }
    guard separators == Array("-/".utf8), numbers.count >= 2 else { return nil }
    return (numbers[0], numbers[1], numbers.count == 3 ? numbers[2] : nil)
  }
}
