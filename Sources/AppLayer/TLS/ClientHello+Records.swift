import Traffic

extension ClientHello {
  /// - Parameter records: TLS records up to the end of the hello, headers and all (RFC 8446 section 5.1).
  public init?(records: [UInt8]) {
    var message: [UInt8] = []
    var rest = records[...]
    while rest.count > 5 {
      let start = rest.startIndex
      let length = Int(rest[start + 3]) << 8 | Int(rest[start + 4])
      message += rest.dropFirst(5).prefix(length)
      rest = rest.dropFirst(5 + length)
    }
    guard message.count > 4 else { return nil }
    let length = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
    guard length <= message.count - 4 else { return nil }
    self.init(parsing: message.rawSpan.extracting(4..<4 + length))
  }
}
