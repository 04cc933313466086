import Traffic

/// What becomes of the requests and answers of a site's connection, without a connection: for the tests that bring hostile ones.
package enum TerminationTrial {
  package enum Outcome: Equatable {
    case forwarded([UInt8])
    case refused(forwardedBefore: [UInt8], reason: String)
  }

  /// What of a client's octets its backend gets, as they come in pieces; the client is 192.0.2.1.
  ///
  /// - Parameter answers: pieces of the backend's answers, one behind each piece of the client's while there are any.
  package static func requests(_ pieces: [[UInt8]], answers: [[UInt8]] = [], keepsAddresses: Bool = false) -> Outcome {
    var forwarded = ForwardedFields(address: IPAddress("192.0.2.1") ?? IPAddress(octets16: [UInt8](repeating: 0, count: 16)))
    forwarded.keepsAddresses = keepsAddresses
    forwarded.fields = [("X-Forwarded-Proto", "https")]
    var exchange = HTTPExchange(forwarded)
    var out: [UInt8] = []
    for (index, piece) in pieces.enumerated() {
      var outcome = exchange.request(piece.rawSpan)
      while true {
        switch outcome {
        case .forward(let bytes): out += bytes
        case .refused(_, let reason): return .refused(forwardedBefore: out, reason: reason)
        }
        guard exchange.hasHeld else { break }
        outcome = exchange.takeHeld()
      }
      guard index < answers.count else { continue }
      let answer = answers[index]
      exchange.response(answer.rawSpan)
    }
    return .forwarded(out)
  }

  /// The first lines of the requests that a reader finds in `bytes`; nil where it finds something else.
  package static func firstLines(_ bytes: [UInt8]) -> [[UInt8]]? {
    var framer = HTTPFramer(isRequest: true)
    var offset = 0
    var lines: [[UInt8]] = []
    while offset < bytes.count {
      switch framer.next(bytes.rawSpan, &offset) {
      case .needMore: return lines
      case .head(let head): lines.append(head.startLine)
      case .body: continue
      case .malformed: return nil
      }
    }
    return lines
  }
}
