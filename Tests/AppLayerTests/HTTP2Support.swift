import Traffic

@testable import AppLayer

/// Writes frames of HTTP/2 (RFC 9113 section 4.1).
enum Frame {
  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
  static let endStream: UInt8 = 1
  static let endHeaders: UInt8 = 4
  static let padded: UInt8 = 8
  static let hasPriority: UInt8 = 32

  /// Length of three octets, type, flags, stream, payload.
  static func raw(_ type: UInt8, _ flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    [UInt8(payload.count >> 16 & 255), UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255), type, flags]
      + number(stream) + payload
  }

  static func number(_ value: UInt32) -> [UInt8] {
    [UInt8(value >> 24), UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255)]
  }

  /// Literals without indexing and without Huffman codes (RFC 7541 section 6.2.2).
  static func block(_ fields: [(String, String)]) -> [UInt8] {
    fields.flatMap { [0] + text($0.0) + text($0.1) }
  }

  /// Literals that enter the dynamic table (section 6.2.1).
  static func indexedBlock(_ fields: [(String, String)]) -> [UInt8] {
    fields.flatMap { [0x40] + text($0.0) + text($0.1) }
  }

  /// A length as an integer with a prefix of seven bits, then the octets.
  private static func text(_ text: String) -> [UInt8] {
    let bytes = Array(text.utf8)
    guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
    var out: [UInt8] = [127]
    var rest = bytes.count - 127
    while rest >= 128 {
      out.append(UInt8(rest & 127) | 128)
      rest >>= 7
    }
    return out + [UInt8(rest)] + bytes
  }

  static func headers(
    _ stream: UInt32, _ fields: [(String, String)], ends: Bool = false
  ) -> [UInt8] {
    raw(1, endHeaders | (ends ? endStream : 0), stream: stream, block(fields))
  }

  static func request(
    _ stream: UInt32, _ path: String, _ more: [(String, String)] = [], method: String = "GET", ends: Bool = true
  ) -> [UInt8] {
    headers(
      stream,
      [(":method", method), (":scheme", "https"), (":authority", "Host.Example:8443"), (":path", path)] + more,
      ends: ends)
  }

  static func response(
    _ stream: UInt32, _ status: String = "200", _ more: [(String, String)] = [], ends: Bool = false
  ) -> [UInt8] {
    headers(stream, [(":status", status)] + more, ends: ends)
  }

  static func data(_ stream: UInt32, _ bytes: [UInt8], ends: Bool = false) -> [UInt8] {
    raw(0, ends ? endStream : 0, stream: stream, bytes)
  }

  static func settings(_ pairs: [(UInt16, UInt32)]) -> [UInt8] {
    raw(4, 0, pairs.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 255)] + number($0.1) })
  }

  static func reset(_ stream: UInt32, _ code: UInt32) -> [UInt8] { raw(3, 0, stream: stream, number(code)) }

  private static func raw(_ type: UInt8, _ flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
    raw(type, flags, stream: 0, payload)
  }
}

func http2(
  _ conversation: [Sent], _ settings: HTTP2Settings = HTTP2Settings(), cut: (([UInt8]) -> [[UInt8]])? = nil
) -> [HTTP2Transaction] {
  feed(HTTP2Parser(settings: settings, http: HTTPSettings()), conversation, cut: cut).transactions
    .compactMap { $0 as? HTTP2Transaction }
}

/// The streams alone, what is about the connection left out.
func http2Streams(_ conversation: [Sent], _ settings: HTTP2Settings = HTTP2Settings()) -> [HTTP2Transaction] {
  http2(conversation, settings).filter { $0.streamID != 0 }
}

extension HTTP2Transaction {
  func has(_ event: HTTP2Event) -> Bool { events.contains(event.appEvent) }
}
