import Interception
import TestSupport

/// What a client says to the explicit proxy. However it is cut, the same is asked, and nothing of what follows is
/// lost.
enum ProxyTarget {
  static func run(_ bytes: [UInt8]) {
    // What is longer is refused by its length, which only then depends on the cuts.
    guard bytes.count < ProxyNegotiation.bytesMax else { return }
    let whole = outcome(bytes, piece: max(1, bytes.count))
    for piece in [1, 7] {
      let cut = outcome(bytes, piece: piece)
      if whole != cut { violated("whole: \(whole), in pieces of \(piece): \(cut)") }
    }
    guard case .request(let request)? = whole.last else { return }
    precondition((1...255).contains(request.host.utf8.count))
    precondition(request.first.count <= bytes.count + 64)
    for denial in [ProxyDenial.forbidden, .noSuchName, .refused, .unreachable, .timedOut] {
      precondition(!request.denied(denial).isEmpty)
    }
  }

  /// The steps up to the last one; what comes behind a request is part of it.
  private static func outcome(_ bytes: [UInt8], piece: Int) -> [ProxyNegotiation.Step] {
    var negotiation = ProxyNegotiation()
    var steps: [ProxyNegotiation.Step] = []
    var rest = bytes[...]
    var more: [UInt8] = []
    while true {
      switch negotiation.feed(more) {
      case .needMore:
        guard !rest.isEmpty else { return steps }
        more = Array(rest.prefix(piece))
        rest = rest.dropFirst(piece)
      case .reply(let answer):
        steps.append(.reply(answer))
        // As the listener does: the client may have said more already.
        more = []
      case .refused(let answer, let reason): return steps + [.refused(answer, reason: reason)]
      case .request(var request):
        request.first += rest
        return steps + [.request(request)]
      }
    }
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let texts = [
      ("connect", "CONNECT a.example:443 HTTP/1.1\nHost: a.example:443\nProxy-Connection: keep-alive\n\n\u{16}\u{3}\u{1}"),
      ("connect6", "CONNECT [2001:db8::1]:8443 HTTP/1.0\n\n"),
      ("absolute", "GET http://u:p@a.example:8080?q=1 HTTP/1.1\nHost: a.example\nConnection: x\nProxy-Authorization: Basic eA==\n\nbody"),
      ("origin", "GET / HTTP/1.1\nHost: a\n\n"),
    ]
    return texts.map { ($0.0, crlf($0.1)) } + [
      ("socks4", [4, 1, 1, 0xbb, 192, 0, 2, 1, 0x75, 0, 1, 2]),
      ("socks4a", [4, 1, 1, 0xbb, 0, 0, 0, 1, 0] + Array("a.example".utf8) + [0]),
      ("socks5", [5, 2, 0, 2, 5, 1, 0, 1, 192, 0, 2, 1, 1, 0xbb, 1, 2]),
      ("socks5-name", [5, 1, 0, 5, 1, 0, 3, 9] + Array("a.example".utf8) + [0, 80]),
      ("socks5-6", [5, 1, 0, 5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80]),
      ("socks5-bind", [5, 1, 0, 5, 2, 0, 1, 192, 0, 2, 1, 0, 80]), ("tls", TLSClientHello().records()),
    ]
  }
}
