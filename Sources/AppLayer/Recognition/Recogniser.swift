import Traffic

/// Tells protocols apart by the first bytes that one side sends.
///
/// - Source: the RFC of each; Suricata 8's patterns and probing parsers decide where they are looser.
/// Ports are hints: they settle what the bytes leave open, and never overrule them.
struct Recogniser {
  enum Answer: Equatable {
    case needMore
    case found(AppProtocol)
    /// The bytes are what the other side would send: the ends were taken for each other.
    case foundReversed(AppProtocol)
    /// None of the protocols known.
    case none
  }

  let direction: Direction
  let serverPort: UInt16
  let clientPort: UInt16

  func isPort(_ port: UInt16) -> Bool { serverPort == port || clientPort == port }

  /// A list is allocated: for what few flows come to.
  func isPort(of ports: UInt16...) -> Bool { ports.contains(serverPort) || ports.contains(clientPort) }

  /// - Parameter bytes: all that this side sent so far.
  func recogniseStream(_ bytes: [UInt8]) -> Answer {
    guard !bytes.isEmpty else { return .needMore }
    // One after the other: a list of functions would be allocated, and each of them.
    var waits = false
    if let answer = Self.settled(tls(bytes), &waits) { return answer }
    if let answer = Self.settled(ssl2(bytes), &waits) { return answer }
    if let answer = Self.settled(http2Preface(bytes), &waits) { return answer }
    if let answer = Self.settled(smb(bytes), &waits) { return answer }
    if let answer = Self.settled(dcerpc(bytes), &waits) { return answer }
    if let answer = Self.settled(ssh(bytes), &waits) { return answer }
    if let answer = Self.settled(telnet(bytes), &waits) { return answer }
    if let answer = Self.settled(dnsStream(bytes), &waits) { return answer }
    if let answer = Self.settled(textual(bytes), &waits) { return answer }
    return waits ? .needMore : .none
  }

  private static func settled(_ answer: Answer, _ waits: inout Bool) -> Answer? {
    switch answer {
    case .none: return nil
    case .needMore:
      waits = true
      return nil
    case .found, .foundReversed: return answer
    }
  }

  /// A whole datagram.
  func recogniseDatagram(_ bytes: [UInt8]) -> Answer {
    var waits = false
    if let answer = Self.settled(mdns(bytes), &waits) { return answer }
    if let answer = Self.settled(dnsDatagram(bytes), &waits) { return answer }
    if let answer = Self.settled(dhcp(bytes), &waits) { return answer }
    if let answer = Self.settled(ntp(bytes), &waits) { return answer }
    if let answer = Self.settled(tftp(bytes), &waits) { return answer }
    if let answer = Self.settled(sip(bytes), &waits) { return answer }
    if let answer = Self.settled(quic(bytes), &waits) { return answer }
    return .none
  }

  // MARK: Streams with binary framing

  /// A TLS record header (RFC 8446 section 5.1): type, version 3.0 to 3.4, plausible length.
  private func tls(_ bytes: [UInt8]) -> Answer {
    guard (20...23).contains(bytes[0]) else { return .none }
    if bytes.count > 1, bytes[1] != 3 { return .none }
    if bytes.count > 2, bytes[2] > 4 { return .none }
    guard bytes.count >= 5 else { return .needMore }
    let length = Int(bytes[3]) << 8 | Int(bytes[4])
    // An empty record of the handshake is none that a parser likes, but nobody else's either.
    if length == 0, bytes[0] == 22 { return .found(.tls) }
    guard length > 0, length <= 16_384 + 2048 else { return .none }
    guard bytes[0] == 22, length >= 4 else { return .found(.tls) }
    guard bytes.count > 5 else { return .needMore }
    switch bytes[5] {
    case 1: return direction == .toServer ? .found(.tls) : .foundReversed(.tls)
    case 2: return direction == .toClient ? .found(.tls) : .foundReversed(.tls)
    case 0, 4, 8, 11, 12, 13, 14, 15, 16, 20, 22: return .found(.tls)
    // Resumed in the middle: the handshake is encrypted.
    default: return isPort(of: 443, 465, 853, 993, 995, 8443) ? .found(.tls) : .none
    }
  }

  /// An SSLv2 hello (RFC 5246 appendix E.2): length, type, version, lengths that add up.
  private func ssl2(_ bytes: [UInt8]) -> Answer {
    guard direction == .toServer, bytes[0] & 0x80 != 0 else { return .none }
    if bytes.count > 2, bytes[2] != 1 { return .none }
    if bytes.count > 4, !(bytes[3] == 0 && bytes[4] == 2 || bytes[3] == 3 && bytes[4] <= 3) { return .none }
    guard bytes.count >= 11 else { return .needMore }
    let length = Int(bytes[0] & 0x7f) << 8 | Int(bytes[1])
    let parts = stride(from: 5, to: 11, by: 2).map { Int(bytes[$0]) << 8 | Int(bytes[$0 + 1]) }
    let total = 9 + parts.reduce(0, +)
    guard total == length, parts[0] > 0, parts[0] % 3 == 0 else { return .none }
    return .found(.tls)
  }

  private func http2Preface(_ bytes: [UInt8]) -> Answer {
    if direction == .toClient { return http2Settings(bytes) }
    return prefix(bytes, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .http2)
  }

  /// A server begins with SETTINGS on stream 0 (RFC 9113 section 3.4): six octets each, no flags. The
  /// client's preface decides, as in Suricata; till then it is waited for.
  private func http2Settings(_ bytes: [UInt8]) -> Answer {
    guard bytes[0] == 0 else { return .none }
    guard bytes.count >= HTTP2FrameHeader.byteCount else {
      let expected: [UInt8] = [4, 0, 0, 0, 0, 0]
      guard bytes.count > 3 else { return .needMore }
      return bytes[3...].elementsEqual(expected.prefix(bytes.count - 3)) ? .needMore : .none
    }
    let header = HTTP2FrameHeader(bytes.rawSpan)
    return header.kind == .settings && header.flags == 0 && header.streamID == 0 && header.length % 6 == 0
      ? .needMore : .none
  }

  /// NetBIOS session header with an SMB1, SMB2 or SMB3 header ([MS-SMB2] section 2.2.1).
  private func smb(_ bytes: [UInt8]) -> Answer {
    guard bytes[0] == 0 else { return .none }
    guard bytes.count >= 8 else {
      return bytes.count < 5 || [0xfd, 0xfe, 0xff].contains(bytes[4]) ? .needMore : .none
    }
    guard [0xfd, 0xfe, 0xff].contains(bytes[4]), bytes[5...7].elementsEqual("SMB".utf8) else {
      return .none
    }
    return .found(.smb)
  }

  /// A connection-oriented DCE/RPC header (C706 section 12.6.3.1).
  private func dcerpc(_ bytes: [UInt8]) -> Answer {
    guard bytes[0] == 5 else { return .none }
    if bytes.count > 1, bytes[1] > 1 { return .none }
    if bytes.count > 2, bytes[2] > 19 { return .none }
    guard bytes.count >= 10 else { return .needMore }
    let isLittle = bytes[4] & 0x10 != 0
    let length =
      isLittle
      ? Int(bytes[9]) << 8 | Int(bytes[8]) : Int(bytes[8]) << 8 | Int(bytes[9])
    return length >= 16 && bytes[4] & 0xee == 0 ? .found(.dcerpc) : .none
  }

  /// A command (RFC 854): on its port a single one, elsewhere two offers or demands in a row.
  private func telnet(_ bytes: [UInt8]) -> Answer {
    guard bytes[0] == 255 else { return .none }
    guard bytes.count >= 2 else { return .needMore }
    if isPort(23) { return bytes[1] >= 240 ? .found(.telnet) : .none }
    for (index, byte) in bytes.prefix(5).enumerated() {
      let fits =
        switch index {
        case 1, 4: (251...254).contains(byte)
        case 2: byte <= 60
        default: byte == 255
        }
      guard fits else { return .none }
    }
    return bytes.count >= 5 ? .found(.telnet) : .needMore
  }

  private func ssh(_ bytes: [UInt8]) -> Answer { prefix(bytes, "SSH-", .ssh) }

  /// A DNS message behind its length (RFC 1035 section 4.2.2).
  private func dnsStream(_ bytes: [UInt8]) -> Answer {
    guard bytes.count >= 2 else { return .needMore }
    let length = Int(bytes[0]) << 8 | Int(bytes[1])
    guard length >= 17 || (length >= 12 && isPort(53)) else { return .none }
    let message = 2..<min(bytes.count, 2 + length)
    switch dnsMessage(bytes, message, isWhole: message.count == length) {
    case .needMore where message.count >= length: return .none
    case let answer: return answer
    }
  }

  // MARK: Text

  func prefix(_ bytes: [UInt8], _ text: StaticString, _ found: AppProtocol) -> Answer {
    let count = min(bytes.count, text.utf8CodeUnitCount)
    let isEqual = text.withUTF8Buffer { wanted in
      (0..<count).allSatisfy { bytes[$0] == (unsafe wanted[$0]) }
    }
    guard isEqual else { return .none }
    return count == text.utf8CodeUnitCount ? .found(found) : .needMore
  }

  private func textual(_ bytes: [UInt8]) -> Answer {
    direction == .toServer ? clientText(bytes) : serverText(bytes)
  }

  /// Methods that no other text protocol has.
  private static let httpMethods: [StaticString] = [
    "get", "post", "head", "put", "connect", "delete", "trace", "patch", "propfind", "proppatch",
    "mkcol", "copy", "move", "lock", "unlock", "version-control", "checkout", "uncheckout", "checkin",
    "update", "label", "report", "mkworkspace", "mkactivity", "baseline-control", "merge", "invalid",
  ]
  private static let mailCommands: [StaticString] = ["ehlo", "helo", "lhlo"]
  private static let fileCommands: [StaticString] = ["user ", "feat\r", "auth tls", "syst\r", "pass "]
  /// Octets of a first line after which it is none.
  private static let lineCountMax = 4096

  private func clientText(_ bytes: [UInt8]) -> Answer {
    var start = 0
    while start < bytes.count, start < 32, HTTPText.isSpace(bytes[start]) { start += 1 }
    guard start < bytes.count else { return .needMore }
    let whole = start..<bytes.count
    for method in Self.httpMethods where HTTPText.hasPrefix(bytes, whole, method) {
      let after = start + method.utf8CodeUnitCount
      guard after < bytes.count, HTTPText.isBlank(bytes[after]) else { continue }
      // UPDATE is a method of SIP, too (RFC 3311).
      let isCall = (["sip:", "sips:", "tel:"] as [StaticString]).contains { HTTPText.hasPrefix(bytes, after + 1..<bytes.count, $0) }
      if isCall { return requestLike(bytes, start) }
      return .found(.http)
    }
    if HTTPText.hasPrefix(bytes, whole, "quit"), isPort(of: 25, 465, 587) { return .found(.smtp) }
    for command in Self.mailCommands
    where HTTPText.hasPrefix(bytes, whole, command) && start + 4 < bytes.count
      && HTTPText.isSpace(bytes[start + 4])
    {
      return .found(.smtp)
    }
    if HTTPText.hasPrefix(bytes, whole, "http/1."), start == 0 { return .foundReversed(.http) }
    for command in Self.fileCommands where HTTPText.hasPrefix(bytes, whole, command) {
      return .found(isPort(110) ? .pop3 : .ftp)
    }
    if HTTPText.hasPrefix(bytes, whole, "capa\r"), isPort(110) { return .found(.pop3) }
    return requestLike(bytes, start)
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    let lower = HTTPText.lower(byte)
    return lower >= 97 && lower <= 122 || HTTPText.isDigit(byte) || byte == 45 || byte == 95
  }

  /// A line of a word, a target and a protocol name.
  private func requestLike(_ bytes: [UInt8], _ start: Int) -> Answer {
    var i = start
    while i < bytes.count, Self.isWord(bytes[i]) { i += 1 }
    guard i < bytes.count else { return i - start <= 32 ? .needMore : .none }
    guard i > start, i - start <= 32, HTTPText.isBlank(bytes[i]) else { return .none }
    guard let end = HTTPText.firstIndex(of: HTTPText.lf, in: bytes, i..<bytes.count) else {
      let isText = bytes[i...].allSatisfy { $0 >= 32 || $0 == HTTPText.tab || $0 == HTTPText.cr }
      return isText && bytes.count < Self.lineCountMax ? .needMore : .none
    }
    let line = HTTPText.trimmed(bytes, start..<end)
    guard let space = line.last(where: { HTTPText.isBlank(bytes[$0]) }) else { return .none }
    let last = space + 1..<line.upperBound
    if HTTPText.hasPrefix(bytes, last, "http/1") || HTTPText.hasPrefix(bytes, last, "http/0") {
      return .found(.http)
    }
    if HTTPText.hasPrefix(bytes, last, "sip/2") { return .found(.sip) }
    // "a1 LOGIN …": a tag and an IMAP command.
    let commands: [StaticString] = ["capability", "login ", "starttls", "authenticate ", "id ("]
    if commands.contains(where: { HTTPText.hasPrefix(bytes, i + 1..<line.upperBound, $0) }) {
      return .found(.imap)
    }
    return .none
  }

  /// What servers of text protocols begin with.
  private static let serverStarts: [(StaticString, AppProtocol)] = [
    ("http/1.", .http), ("http/0.9", .http), ("sip/2.0 ", .sip), ("+ok", .pop3), ("* ok", .imap), ("* preauth", .imap),
  ]

  private func serverText(_ bytes: [UInt8]) -> Answer {
    let whole = 0..<bytes.count
    for (start, found) in Self.serverStarts {
      let count = min(bytes.count, start.utf8CodeUnitCount)
      let isEqual = start.withUTF8Buffer { wanted in
        (0..<count).allSatisfy { HTTPText.lower(bytes[$0]) == (unsafe wanted[$0]) }
      }
      if isEqual { return count == start.utf8CodeUnitCount ? .found(found) : .needMore }
    }
    for method in ["get ", "post ", "head "] as [StaticString]
    where HTTPText.hasPrefix(bytes, whole, method) { return .foundReversed(.http) }
    return greeting(bytes)
  }

  /// "220 …": mail or file transfer; the words, then the port, decide.
  private func greeting(_ bytes: [UInt8]) -> Answer {
    let code = Array("220".utf8)
    guard bytes.prefix(3).elementsEqual(code.prefix(bytes.count)) else { return .none }
    guard bytes.count > 3 else { return .needMore }
    guard bytes[3] == 32 || bytes[3] == 45 else { return .none }
    guard let end = HTTPText.firstIndex(of: HTTPText.lf, in: bytes, 4..<bytes.count) else {
      return bytes.count < Self.lineCountMax ? .needMore : .none
    }
    if HTTPText.containsIgnoringNUL(bytes, 4..<end, "smtp") || isPort(of: 25, 587, 2525) {
      return .found(.smtp)
    }
    if HTTPText.containsIgnoringNUL(bytes, 4..<end, "ftp") || isPort(21) { return .found(.ftp) }
    return .none
  }
}
