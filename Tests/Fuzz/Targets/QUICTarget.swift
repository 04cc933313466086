import AppLayer
import CSluiceOpenSSL
import TestSupport
import Traffic

/// Datagrams: control (bit 0 from the server, bit 1 as it is, bit 2 with what comes next in one), a length of two
/// octets, then a datagram or the frames of an Initial packet, which is sealed here: a fuzzer could not.
///
/// What is sealed for the server opens.
enum QUICTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let parser = QUICParser()
    var held: [UInt8] = []
    var isSealed = true
    var number: UInt8 = 0
    while !reader.isAtEnd {
      let control = reader.u8()
      let payload = reader.take(Int(reader.u16()))
      let direction = control & 1 == 0 ? Direction.toServer : .toClient
      if control & 2 != 0 || direction == .toClient { isSealed = false }
      held += control & 2 != 0 ? payload : InitialPacket.sealed(payload, direction, number: number)
      number &+= 1
      if control & 4 != 0, !reader.isAtEnd { continue }
      feed(parser, held, direction, isSealed: isSealed)
      held = []
    }
    parser.finish(at: Conversation.time)
  }

  private static func feed(_ parser: QUICParser, _ datagram: [UInt8], _ direction: Direction, isSealed: Bool) {
    parser.consume(
      StreamChunk(bytes: datagram.rawSpan, direction: direction, offset: 0, time: Conversation.time))
    // A long header has seven octets at least.
    precondition(parser.transactions.count <= datagram.count / 7 + 1)
    for transaction in parser.transactions {
      transaction.ask()
      precondition(!isSealed || !transaction.events.contains { $0.name == "failed_decrypt" })
    }
    parser.removeTransactions { _ in true }
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let hello = TLSClientHello(serverName: "q.example", alpn: ["h3"], versions: [0x0304]).message
    let answer = TLSServerHello(cipher: 0x1301, selectedVersion: 0x0304).message
    func datagram(_ control: UInt8, _ bytes: [UInt8]) -> [UInt8] {
      [control, UInt8(bytes.count & 255), UInt8(bytes.count >> 8)] + bytes
    }
    func crypto(_ bytes: some Collection<UInt8>, at offset: Int = 0) -> [UInt8] {
      [6, 0x40 | UInt8(offset >> 8), UInt8(offset & 255), 0x40 | UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
    }
    let google: [UInt8] = [0xc3, 0x51, 0x30, 0x34, 0x36, 0x50, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 12)
      + [0xa0, 1, 0, 40] + Array("CHLO".utf8) + [2, 0, 0, 0] + Array("SNI\0".utf8) + [9, 0, 0, 0] + Array("UAID".utf8)
      + [12, 0, 0, 0] + Array("a.exampleabc".utf8)
    return [
      ("hello", datagram(0, crypto(hello)) + datagram(1, [2, 0, 0, 0, 0] + crypto(answer))),
      ("pieces", datagram(4, crypto(hello[60...], at: 60) + [1, 0, 0]) + datagram(0, crypto(hello[..<60]))),
      ("frames", datagram(0, [3, 1, 0, 1, 0, 1, 1, 1, 2, 3, 0x1c, 1, 6, 2, 0x61, 0x62, 6, 0, 0])),
      ("retry", datagram(0, crypto(hello)) + datagram(3, [0xf0, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4, 9, 9]) + datagram(0, crypto(hello))),
      ("versions", datagram(3, [0x80, 0, 0, 0, 0, 0, 1, 9, 0, 0, 0, 1]) + datagram(2, [0xd0, 0x6b, 0x33, 0x43, 0xcf, 1, 1, 0, 0, 0])),
      ("google", datagram(2, google)), ("short", datagram(2, [0x40, 1, 2, 3])),
    ]
  }
}

/// Initial packets of the connection that RFC 9001 appendix A tells the keys of.
enum InitialPacket {
  private struct Keys {
    let key: [UInt8], iv: [UInt8], headerKey: [UInt8]
  }

  private static let destination: [UInt8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08]
  /// Appendix A.1.
  private static let client = Keys(
    key: [0x1f, 0x36, 0x96, 0x13, 0xdd, 0x76, 0xd5, 0x46, 0x77, 0x30, 0xef, 0xcb, 0xe3, 0xb1, 0xa2, 0x2d],
    iv: [0xfa, 0x04, 0x4b, 0x2f, 0x42, 0xa3, 0xfd, 0x3b, 0x46, 0xfb, 0x25, 0x5c],
    headerKey: [0x9f, 0x50, 0x44, 0x9e, 0x04, 0xa0, 0xe8, 0x10, 0x28, 0x3a, 0x1e, 0x99, 0x33, 0xad, 0xed, 0xd2])
  private static let server = Keys(
    key: [0xcf, 0x3a, 0x53, 0x31, 0x65, 0x3c, 0x36, 0x4c, 0x88, 0xf0, 0xf3, 0x79, 0xb6, 0x06, 0x7e, 0x37],
    iv: [0x0a, 0xc1, 0x49, 0x3c, 0xa1, 0x90, 0x58, 0x53, 0xb0, 0xbb, 0xa0, 0x3e],
    headerKey: [0xc2, 0x06, 0xb8, 0xd9, 0xb9, 0xf0, 0xf3, 0x76, 0x44, 0x43, 0x0b, 0x49, 0x0e, 0xea, 0xa3, 0x14])

  /// RFC 9001 sections 5.3 and 5.4, with a packet number of one octet.
  static func sealed(_ frames: [UInt8], _ direction: Direction, number: UInt8) -> [UInt8] {
    let keys = direction == .toServer ? client : server
    // Padded, so that there is a sample to protect the header with.
    let plain = Array(frames.prefix(8192)) + [UInt8](repeating: 0, count: max(0, 4 - frames.count))
    let length = plain.count + 17
    let names: [UInt8] = direction == .toServer ? [8] + destination + [0] : [0, 8] + destination
    var head: [UInt8] = [0xc0, 0, 0, 0, 1] + names + [0, 0x40 | UInt8(length >> 8), UInt8(length & 255), number]
    var nonce = keys.iv
    nonce[11] ^= number
    let body = unsafe encrypt(EVP_aes_128_gcm(), keys.key, nonce, head, plain)
    let mask = unsafe encrypt(EVP_aes_128_ecb(), keys.headerKey, [], [], Array(body[3..<19]))
    head[0] ^= mask[0] & 0x0f
    head[head.count - 1] ^= mask[1]
    return head + body
  }

  /// - Parameter nonce: with it the tag follows; without, one block is encrypted.
  private static func encrypt(
    _ cipher: OpaquePointer?, _ key: [UInt8], _ nonce: [UInt8], _ associated: [UInt8], _ plain: [UInt8]
  ) -> [UInt8] {
    // SAFETY: every array comes with its own length; what is written fits: as many octets as are read, a block and
    // a tag.
    let context = unsafe EVP_CIPHER_CTX_new()
    defer { unsafe EVP_CIPHER_CTX_free(context) }
    var out = [UInt8](repeating: 0, count: plain.count + 32)
    var count: Int32 = 0
    let isGCM = !nonce.isEmpty
    var isGood = unsafe EVP_EncryptInit_ex(context, cipher, nil, key, isGCM ? nonce : nil) == 1
    if isGCM { isGood = unsafe EVP_EncryptUpdate(context, nil, &count, associated, Int32(associated.count)) == 1 && isGood }
    isGood = unsafe EVP_EncryptUpdate(context, &out, &count, plain, Int32(plain.count)) == 1 && isGood
    precondition(isGood && Int(count) == plain.count)
    guard isGCM else { return Array(out[..<16]) }
    var rest = [UInt8](repeating: 0, count: 32)
    var tag = [UInt8](repeating: 0, count: 16)
    isGood = unsafe EVP_EncryptFinal_ex(context, &rest, &count) == 1
    isGood = unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, &tag) == 1 && isGood
    precondition(isGood)
    return Array(out[..<plain.count]) + tag
  }
}
