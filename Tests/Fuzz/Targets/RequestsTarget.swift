import Interception
import TestSupport

/// What a client sends to a site of ours, and in which octets its backend gets it: the first octet chooses whether
/// addresses are kept, the rest is a request after another.
///
/// However it is cut, the backend gets the same; it finds in that the requests that we found, each with one word of ours
/// about who the client is; and what we refuse has not been begun.
enum RequestsTarget {
  static func run(_ bytes: [UInt8]) {
    let keeps = bytes.first.map { $0 & 1 != 0 } ?? false
    let octets = Array(bytes.dropFirst())
    let whole = TerminationTrial.requests([octets], keepsAddresses: keeps)
    for size in [1, 7] {
      let pieces = stride(from: 0, to: octets.count, by: size).map { Array(octets[$0..<min($0 + size, octets.count)]) }
      let cut = TerminationTrial.requests(pieces, keepsAddresses: keeps)
      switch (whole, cut) {
      case (.forwarded(let one), .forwarded(let other)):
        if one != other { violated("\(one.count) octets whole, \(other.count) in pieces of \(size)") }
      case (.refused(_, let one), .refused(_, let other)):
        // What came before the fault has been passed on when it comes in pieces.
        if one != other { violated("whole: \(one), in pieces of \(size): \(other)") }
      default: violated("whole: \(whole), in pieces of \(size): \(cut)")
      }
    }
    let sent =
      switch whole {
      case .forwarded(let out): out
      case .refused(let out, _): out
      }
    // A switch of protocols ends what can be compared.
    guard let read = TerminationTrial.firstLines(octets) ?? TerminationTrial.firstLines(sent),
      let written = TerminationTrial.firstLines(sent)
    else { return }
    precondition(read.starts(with: written))
    check(sent, requestCount: written.count)
  }

  private static func check(_ sent: [UInt8], requestCount: Int) {
    let text = String(decoding: sent, as: UTF8.self).lowercased()
    precondition(text.components(of: "\r\nx-forwarded-for: ") >= requestCount)
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let texts = [
      ("get", "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 10.0.0.1\nX-Real_IP: 1\nConnection: close, x-forwarded-for\n\n"),
      ("post", "POST /a HTTP/1.1\nHost: a\nContent-Length: 4\n\nbodyGET /b HTTP/1.0\n\n"),
      ("chunked", "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n4;x=y\nbody\n0\nTrailer: 1\n\nGET /b HTTP/1.1\nHost: a\n\n"),
      ("both", "POST / HTTP/1.1\nHost: a\nContent-Length: 4\nTransfer-Encoding: chunked\n\n0\n\n"),
      ("upgrade", "GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\nxx"),
      ("connect", "CONNECT a:1 HTTP/1.1\nHost: a\n\nxx"),
      ("negative-chunk", "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n-0\n\nGET /hidden HTTP/1.1\nHost: a\n\n"),
      ("folded", "GET / HTTP/1.1\nHost: a\nX: 1\n 2\n\n"),
    ]
    return texts.flatMap { name, text in [(name, [0] + crlf(text)), (name + "-kept", [1] + crlf(text))] }
  }
}

extension String {
  /// How often `part` stands in it.
  fileprivate func components(of part: String) -> Int {
    let (octets, wanted) = (Array(utf8), Array(part.utf8))
    guard octets.count >= wanted.count else { return 0 }
    return (0...octets.count - wanted.count).count { octets[$0..<$0 + wanted.count].elementsEqual(wanted) }
  }
}
