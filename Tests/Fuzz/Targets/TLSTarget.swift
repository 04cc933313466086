import AppLayer
import Interception
import TestSupport
import Traffic

/// The first octet: 0 a ``Conversation``, 1 a certificate, 2 the first bytes of a client, whole and cut.
enum TLSTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    switch reader.u8() % 3 {
    case 0:
      Conversation(reader.rest()).checkCuts { TLSParser() }
    case 1:
      let der = reader.rest()
      guard let certificate = Certificate(parsing: der.rawSpan) else { return }
      precondition(certificate.subjectAltNames.count <= Certificate.subjectAltNameCountMax)
    default:
      peek(reader.rest())
    }
  }

  /// The relay's look at a hello says the same however it arrives.
  private static func peek(_ bytes: [UInt8]) {
    var whole = ClientHelloPeek()
    let outcome = whole.feed(bytes.rawSpan)
    var cut = ClientHelloPeek()
    for (index, byte) in bytes.enumerated() {
      let partial = cut.feed([byte].rawSpan)
      if partial == .needMore { continue }
      // What is found early depends only on the bytes so far.
      if !same(partial, outcome) { violated("cut at \(index): \(partial), whole: \(outcome)") }
      return
    }
    if !bytes.isEmpty, outcome != .needMore { violated("cut: need more, whole: \(outcome)") }
  }

  private static func same(_ left: ClientHelloPeek.Outcome, _ right: ClientHelloPeek.Outcome) -> Bool {
    switch (left, right) {
    case (.hello(let a), .hello(let b)): a.sni == b.sni && a.alpn == b.alpn && a.versions == b.versions
    case (.malformed, .malformed), (.notTLS, .notTLS), (.tooLarge, .tooLarge), (.needMore, .needMore): true
    default: false
    }
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let hello = TLSClientHello().records()
    let answer = TLSServerHello(selectedVersion: 0x0304, alpn: "h2").records()
    let withCertificate =
      TLSServerHello().records() + tlsRecords(tlsCertificateMessage([certificate])) 
    return [
      ("handshake13", [0] + Conversation.input([(.toServer, hello), (.toClient, answer)])),
      ("handshake12", [0] + Conversation.input([(.toServer, TLSClientHello().records(recordSize: 50)), (.toClient, withCertificate)])),
      ("certificate", [1] + certificate), ("peek", [2] + hello), ("peek-cut", [2] + TLSClientHello().records(recordSize: 20)),
    ]
  }

  /// A self-signed certificate of just the fields that are read, with names of three kinds.
  static let certificate: [UInt8] = {
    func der(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
      content.count < 128
        ? [tag, UInt8(content.count)] + content
        : [tag, 0x82, UInt8(content.count >> 8), UInt8(content.count & 255)] + content
    }
    func attribute(_ oid: [UInt8], _ tag: UInt8, _ value: String) -> [UInt8] {
      der(0x31, der(0x30, der(0x06, oid) + der(tag, Array(value.utf8))))
    }
    let name = der(0x30, attribute([0x55, 4, 6], 0x13, "US") + attribute([0x55, 4, 10], 0x0c, "Example, Inc.")
      + attribute([0x55, 4, 3], 0x0c, "example.com"))
    let times = der(0x30, der(0x17, Array("260101000000Z".utf8)) + der(0x18, Array("20360101000000Z".utf8)))
    let names = der(0x30, der(0x82, Array("example.com".utf8)) + der(0x87, [192, 0, 2, 1]) + der(0x81, Array("a@b".utf8)))
    let extensions = der(0xa3, der(0x30, der(0x30, der(0x06, [0x55, 0x1d, 0x11]) + der(0x04, names))))
    let fields = der(0xa0, der(0x02, [2])) + der(0x02, [1, 2]) + der(0x30, der(0x06, [0x2a])) + name + times + name
      + der(0x30, []) + extensions
    return der(0x30, der(0x30, fields))
  }()
}
