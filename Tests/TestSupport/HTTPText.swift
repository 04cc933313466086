/// An HTTP/1 message from a request or status line, headers and body; adds no header by itself.
public func httpMessage(
  _ startLine: String, _ headers: [(String, String)] = [], body: [UInt8] = []
) -> [UInt8] {
  let head = headers.reduce(startLine + "\r\n") { $0 + "\($1.0): \($1.1)\r\n" }
  return Array((head + "\r\n").utf8) + body
}

/// `text` with each line ending (newline) made CRLF: headers as a multi-line literal.
public func crlf(_ text: String) -> [UInt8] {
  text.utf8.flatMap { $0 == UInt8(ascii: "\n") ? [13, 10] : [$0] }
}

/// A body in chunked coding (RFC 9112 section 7.1), with the last chunk.
public func chunked(_ body: [UInt8], size: Int) -> [UInt8] {
  var out: [UInt8] = []
  for start in stride(from: 0, to: body.count, by: max(1, size)) {
    let slice = body[start..<min(start + max(1, size), body.count)]
    out += Array((String(slice.count, radix: 16) + "\r\n").utf8) + slice + [13, 10]
  }
  return out + Array("0\r\n\r\n".utf8)
}
