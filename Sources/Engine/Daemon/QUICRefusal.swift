import Inspection
import Interception
import PacketDecoding
import Traffic

/// What is done about QUIC where TLS is opened: it cannot be, so that clients are made to come by TCP.
public enum QUICHandling: String, Sendable, CaseIterable {
  /// Dropped, and the client is told by ICMP that nobody is there: it comes by TCP at once.
  case refuse
  /// Dropped without a word.
  case drop
  /// QUIC is no business of policy's.
  case pass
}

/// Decides about QUIC connections by the policy for TLS.
///
/// - Source: RFC 9312 section 3.1: whoever blocks QUIC lets clients fall back to TCP.
struct QUICRefusal: Sendable {
  var policy: any InterceptionPolicy
  var handling: QUICHandling
  /// Where TLS is opened on these ports only; nil for all.
  var ports: Set<UInt16>?

  /// - Parameter hello: the client's handshake message; empty where it could not be read.
  /// - Returns: nil where TLS would not be opened either.
  func decide(_ hello: [UInt8], _ flow: FlowTuple, at time: Timestamp) -> (decision: PolicyDecision, sni: String?)? {
    if let ports, !ports.contains(flow.destinationPort) { return nil }
    let records = Self.records(hello)
    var peek = ClientHelloPeek()
    var sketch: ClientHelloSketch?
    if case .hello(let found) = peek.feed(records.rawSpan) { sketch = found }
    let facts = PolicyFacts(
      flow: flow, sni: sketch?.sni, alpn: sketch?.alpn ?? [], clientHello: records, clientShape: sketch?.shape ?? [],
      time: time)
    return (policy.decide(facts), sketch?.sni)
  }

  /// As TLS over TCP would carry the message (RFC 8446 section 5.1).
  static func records(_ message: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    for start in stride(from: 0, to: message.count, by: 16_384) {
      let piece = message[start..<min(message.count, start + 16_384)]
      out += [22, 3, 1, UInt8(piece.count >> 8), UInt8(piece.count & 0xff)] + piece
    }
    return out
  }
}

extension RawSpan {
  /// An IP packet that carries UDP right behind its header.
  var isUDP: Bool {
    guard byteCount >= 28 else { return false }
    return u8(at: 0) >> 4 == 4 ? u8(at: 9) == IPProtocol.udp : u8(at: 6) == IPProtocol.udp
  }
}
