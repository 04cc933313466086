import Interception

/// What stands before a connection that a balancer passes on. However it is cut, the same is read, and nothing behind it
/// is lost; what was read is written in both versions so that it reads the same.
enum ProxyHeaderTarget {
  static func run(_ bytes: [UInt8]) {
    let whole = outcome(bytes, piece: max(1, bytes.count))
    for piece in [1, 7] {
      let cut = outcome(bytes, piece: piece)
      if whole != cut { violated("whole: \(whole), in pieces of \(piece): \(cut)") }
    }
    guard case .header(let header, let rest) = whole else { return }
    precondition(bytes.suffix(rest.count).elementsEqual(rest))
    precondition(bytes.count - rest.count <= ProxyHeaderReader.bytesMax)
    guard let header else { return }
    // Both ends of one kind; of two kinds version 1 says nothing.
    for version in ProxyHeader.Version.allCases {
      let again = outcome(header.octets(version) + [1, 2], piece: 5)
      guard case .header(let read, let rest) = again else { violated("\(version): \(again)") }
      precondition(rest == [1, 2])
      if let read { precondition(read == header) } else { precondition(version == .v1) }
    }
  }

  private static func outcome(_ bytes: [UInt8], piece: Int) -> ProxyHeaderReader.Step {
    var reader = ProxyHeaderReader()
    var rest = bytes[...]
    while !rest.isEmpty {
      let step = reader.feed(Array(rest.prefix(piece)))
      rest = rest.dropFirst(piece)
      switch step {
      case .needMore: continue
      case .malformed: return step
      case .header(let header, let behind): return .header(header, rest: behind + rest)
      }
    }
    return .needMore
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
    let v4: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0xc0, 0, 1, 0xbb]
    let v6: [UInt8] = [0x20, 1] + [UInt8](repeating: 0, count: 13) + [1, 0x20, 1] + [UInt8](repeating: 0, count: 13) + [2, 0xc0, 0, 1, 0xbb]
    return [
      ("first-4", Array("PROXY TCP4 192.0.2.1 198.51.100.2 49152 443\r\nGET".utf8)),
      ("first-6", Array("PROXY TCP6 2001:db8::1 2001:db8::2 49152 443\r\n\u{16}\u{3}".utf8)),
      ("first-unknown", Array("PROXY UNKNOWN ffff::1 whatever\r\nx".utf8)),
      ("first-long", Array("PROXY TCP6 ".utf8) + [UInt8](repeating: 0x66, count: 100)),
      ("second-4", signature + [0x21, 0x11, 0, 12] + v4 + [0x16]),
      // With a TLV of ALPN behind the addresses.
      ("second-6", signature + [0x21, 0x21, 0, 41] + v6 + [1, 0, 2, 0x68, 0x32] + [0x16]),
      ("second-local", signature + [0x20, 0, 0, 0, 1]),
      ("second-unix", signature + [0x21, 0x31, 0, 2, 0, 0, 1]),
      ("none", [0x16, 3, 1, 0, 5]),
    ]
  }
}
