import Traffic

/// What a client asks of a proxy: a connection to a server.
public struct ProxyRequest: Sendable, Equatable {
  public enum Form: Sendable, Equatable {
    /// HTTP `CONNECT` (RFC 9110 section 9.3.6).
    case connect
    /// An HTTP request with an absolute URI (RFC 9112 section 3.2.2): passed on in origin form.
    case absolute
    case socks4
    /// RFC 1928.
    case socks5
  }

  public var form: Form
  /// A name or an address, without brackets.
  public var host: String
  public var port: UInt16
  /// What goes to the server as the client's first octets.
  public var first: [UInt8]

  /// What the client is told once the server is reached; empty where the server answers itself.
  public var granted: [UInt8] {
    switch form {
    case .connect: Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8)
    case .absolute: []
    case .socks4: [0, 90, 0, 0, 0, 0, 0, 0]
    case .socks5: Self.socks5Reply(0)
    }
  }

  /// What the client is told where the server is not called or not reached.
  public func denied(_ reason: ProxyDenial) -> [UInt8] {
    switch form {
    case .connect, .absolute: ProxyDenial.response(reason.status, reason.text)
    case .socks4: [0, 91, 0, 0, 0, 0, 0, 0]
    case .socks5: Self.socks5Reply(reason.socks5)
    }
  }

  static func socks5Reply(_ code: UInt8) -> [UInt8] { [5, code, 0, 1, 0, 0, 0, 0, 0, 0] }
}

/// Why a server is not called or not reached.
public enum ProxyDenial: Sendable, Equatable {
  case forbidden
  case noSuchName
  case refused
  case unreachable
  case timedOut

  var status: String {
    switch self {
    case .forbidden: "403 Forbidden"
    case .noSuchName, .refused, .unreachable: "502 Bad Gateway"
    case .timedOut: "504 Gateway Timeout"
    }
  }

  var text: String {
    switch self {
    case .forbidden: "this proxy does not connect there"
    case .noSuchName: "the name is not known"
    case .refused: "the server refuses the connection"
    case .unreachable: "the server cannot be reached"
    case .timedOut: "the server does not answer"
    }
  }

  /// - Source: RFC 1928 section 6.
  var socks5: UInt8 {
    switch self {
    case .forbidden: 2
    case .noSuchName, .unreachable: 4
    case .refused: 5
    case .timedOut: 6
    }
  }

  static func response(_ status: String, _ text: String) -> [UInt8] {
    let body = "\(status): \(text)\n"
    return Array(
      """
      HTTP/1.1 \(status)\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n\
      Connection: close\r\n\r\n\(body)
      """.utf8)
  }
}

/// Reads what a client says to a proxy, in any segmentation.
///
/// - Limits: `bytesMax` octets; SOCKS without a password only; no SOCKS `BIND` or `UDP ASSOCIATE`.
public struct ProxyNegotiation: Sendable {
  public enum Step: Sendable, Equatable {
    case needMore
    /// To be sent; then more is needed.
    case reply([UInt8])
    case request(ProxyRequest)
    /// To be sent, then the connection ends.
    case refused([UInt8], reason: String)
  }

  public static let bytesMax = 16_384
  private var bytes: [UInt8] = []
  private var isGreeted = false
  /// Octets in which the end of an HTTP head does not begin.
  private var searched = 0

  public init() {}

  public mutating func feed(_ more: [UInt8]) -> Step {
    bytes += more
    guard let first = bytes.first else { return .needMore }
    let step =
      switch first {
      case 4: socks4()
      case 5: isGreeted ? socks5Request() : socks5Greeting()
      default: http()
      }
    guard step == .needMore, bytes.count > Self.bytesMax else { return step }
    return .refused(
      first < 6 ? [] : ProxyDenial.response("431 Request Header Fields Too Large", "the request is too long"),
      reason: "the request is too long")
  }

  // MARK: SOCKS

  /// - Source: SOCKS 4 and its extension 4A: version, command, port, address, user, 0 [, name, 0].
  private mutating func socks4() -> Step {
    guard bytes.count > 8, let user = bytes[8...].firstIndex(of: 0) else { return .needMore }
    guard bytes[1] == 1 else { return .refused([0, 91, 0, 0, 0, 0, 0, 0], reason: "SOCKS 4 command \(bytes[1])") }
    let port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
    var host = bytes[4..<8].map(String.init).joined(separator: ".")
    var end = user + 1
    // An address 0.0.0.x stands for a name at the end.
    if bytes[4] == 0, bytes[5] == 0, bytes[6] == 0, bytes[7] != 0 {
      guard let name = bytes[end...].firstIndex(of: 0) else { return .needMore }
      guard let text = HostName(bytes[end..<name]) else {
        return .refused([0, 91, 0, 0, 0, 0, 0, 0], reason: "no host name")
      }
      host = text.text
      end = name + 1
    }
    return .request(ProxyRequest(form: .socks4, host: host, port: port, first: Array(bytes[end...])))
  }

  private mutating func socks5Greeting() -> Step {
    guard bytes.count >= 2, bytes.count >= 2 + Int(bytes[1]) else { return .needMore }
    let methods = bytes[2..<2 + Int(bytes[1])]
    guard methods.contains(0) else { return .refused([5, 0xff], reason: "SOCKS 5 without an open method") }
    bytes.removeFirst(2 + Int(bytes[1]))
    isGreeted = true
    return .reply([5, 0])
  }

  private mutating func socks5Request() -> Step {
    guard bytes.count >= 5 else { return .needMore }
    guard bytes[1] == 1 else { return .refused(ProxyRequest.socks5Reply(7), reason: "SOCKS 5 command \(bytes[1])") }
    let length: Int
    switch bytes[3] {
    case 1: length = 4
    case 3: length = 1 + Int(bytes[4])
    case 4: length = 16
    default: return .refused(ProxyRequest.socks5Reply(8), reason: "SOCKS 5 address type \(bytes[3])")
    }
    let end = 4 + length
    guard bytes.count >= end + 2 else { return .needMore }
    let host: String
    switch bytes[3] {
    case 1: host = bytes[4..<8].map(String.init).joined(separator: ".")
    case 3:
      guard let name = HostName(bytes[5..<end]) else {
        return .refused(ProxyRequest.socks5Reply(8), reason: "no host name")
      }
      host = name.text
    default:
      host = stride(from: 4, to: 20, by: 2)
        .map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }.joined(separator: ":")
    }
    let port = UInt16(bytes[end]) << 8 | UInt16(bytes[end + 1])
    return .request(ProxyRequest(form: .socks5, host: host, port: port, first: Array(bytes[(end + 2)...])))
  }

  // MARK: HTTP

  private static let endOfHead: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a]

  private mutating func http() -> Step {
    // A method is made of letters; TLS, for one, is not.
    guard let first = bytes.first, (0x41...0x5a).contains(first) else { return Self.badRequest }
    guard let end = (searched..<bytes.count).first(where: { bytes[$0...].starts(with: Self.endOfHead) }) else {
      searched = max(0, bytes.count - 3)
      return .needMore
    }
    let rest = Array(bytes[(end + 4)...])
    // A CR by itself is no line end; whoever takes it for one reads other fields (RFC 9112 section 2.2).
    guard bytes[..<end].indices.allSatisfy({ bytes[$0] != 0x0d || bytes[$0 + 1] == 0x0a }) else { return Self.badRequest }
    var lines = bytes[..<end].split(separator: 0x0d, omittingEmptySubsequences: false)
      .map { $0.first == 0x0a ? $0.dropFirst() : $0 }
    let parts = lines.removeFirst().split(separator: 0x20, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[2].starts(with: "HTTP/1.".utf8) else { return Self.badRequest }
    if parts[0].elementsEqual("CONNECT".utf8) {
      guard let authority = Authority(parts[1], port: nil) else { return Self.badRequest }
      return .request(ProxyRequest(form: .connect, host: authority.host, port: authority.port, first: rest))
    }
    let scheme = Array("http://".utf8)
    guard parts[1].count > scheme.count,
      String(decoding: parts[1].prefix(scheme.count), as: UTF8.self).lowercased() == "http://"
    else { return Self.badRequest }
    let afterScheme = parts[1].dropFirst(scheme.count)
    let authorityEnd = afterScheme.firstIndex { [0x2f, 0x3f, 0x23].contains($0) } ?? afterScheme.endIndex
    guard let authority = Authority(afterScheme[..<authorityEnd], port: 80) else { return Self.badRequest }
    var target = Array(afterScheme[authorityEnd...])
    if target.first != 0x2f { target.insert(0x2f, at: 0) }
    // The next request may be for another server, so that each has a connection of its own.
    var head = Array(parts[0]) + [0x20] + target + [0x20] + Array(parts[2]) + [0x0d, 0x0a]
    for line in lines where !Self.isHopByHop(line) { head += Array(line) + [0x0d, 0x0a] }
    head += Array("Connection: close\r\n\r\n".utf8)
    return .request(
      ProxyRequest(form: .absolute, host: authority.host, port: authority.port, first: head + rest))
  }

  private static let badRequest = Step.refused(
    ProxyDenial.response("400 Bad Request", "this is a proxy: it takes CONNECT, absolute http URIs and SOCKS"),
    reason: "no request to a proxy")

  private static func isHopByHop(_ line: ArraySlice<UInt8>) -> Bool {
    let name = String(decoding: line.prefix { $0 != 0x3a }, as: UTF8.self).lowercased()
    return ["connection", "proxy-connection", "keep-alive", "proxy-authorization"].contains(name)
  }
}

/// A host name or address in text, as far as its octets go.
private struct HostName {
  var text: String

  init?(_ bytes: ArraySlice<UInt8>) {
    guard (1...255).contains(bytes.count),
      bytes.allSatisfy({ byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
          || [0x2d, 0x2e, 0x3a, 0x5f].contains(byte)
      })
    else { return nil }
    text = String(decoding: bytes, as: UTF8.self)
  }
}

/// `host:port` or `[address]:port`.
private struct Authority {
  var host: String
  var port: UInt16

  /// - Parameter port: where none is given; nil where one must be.
  init?(_ bytes: ArraySlice<UInt8>, port fallback: UInt16?) {
    var host = bytes
    var port = fallback
    // Names and passwords in a URI are not for a server to see.
    if let at = host.lastIndex(of: 0x40) { host = host[(at + 1)...] }
    let bracket = host.lastIndex(of: 0x5d)
    if let colon = host.lastIndex(of: 0x3a), colon > bracket ?? -1 {
      guard let number = UInt16(String(decoding: host[(colon + 1)...], as: UTF8.self)), number > 0 else { return nil }
      port = number
      host = host[..<colon]
    }
    if host.first == 0x5b {
      guard host.last == 0x5d, host.count > 2 else { return nil }
      host = host.dropFirst().dropLast()
    } else if host.contains(0x3a) {
      return nil
    }
    guard let name = HostName(host), let port else { return nil }
    self.host = name.text
    self.port = port
  }
}
