import CSluiceOpenSSL
import Traffic

/// The keys of Initial packets, which anyone can derive who saw the client's first packet.
///
/// - Source: RFC 9001 section 5.2 (version 1 and the last drafts), RFC 9369 section 3.3 (version 2).
struct QUICKeys {
  private let client: Side
  private let server: Side

  private struct Side {
    let key: [UInt8]
    let iv: [UInt8]
    let headerKey: [UInt8]
  }

  /// - Parameter destination: the connection identifier that the client chose for the server.
  /// - Returns: nil for a version whose Initial packets nobody can read.
  init?(version: UInt32, destination: [UInt8]) {
    guard let salt = Self.salt(version), let secret = QUICCrypto.hmac(salt, destination) else { return nil }
    let prefix = version == QUICVersion.v2 ? "quicv2 " : "quic "
    func side(_ label: String) -> Side? {
      guard let own = QUICCrypto.expand(secret, label, 32), let key = QUICCrypto.expand(own, prefix + "key", 16),
        let iv = QUICCrypto.expand(own, prefix + "iv", 12), let headerKey = QUICCrypto.expand(own, prefix + "hp", 16)
      else { return nil }
      return Side(key: key, iv: iv, headerKey: headerKey)
    }
    guard let client = side("client in"), let server = side("server in") else { return nil }
    self.client = client
    self.server = server
  }

  private static func salt(_ version: UInt32) -> [UInt8]? {
    switch version {
    case QUICVersion.v1, 0xff00_0021, 0xff00_0022:
      [
        0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb,
        0x7f, 0x0a,
      ]
    case QUICVersion.v2:
      [
        0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd,
        0x2e, 0xd9,
      ]
    case 0xff00_001d...0xff00_0020:
      [
        0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90,
        0xa8, 0x99,
      ]
    case 0xff00_0017...0xff00_001c:
      [
        0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9,
        0xf5, 0x02,
      ]
    default: nil
    }
  }

  /// Takes the protection off one packet.
  ///
  /// - Parameters:
  ///   - packet: from its first octet to its end.
  ///   - numberAt: where the packet number begins.
  /// - Returns: the frames; nil where the keys do not fit.
  func open(_ packet: RawSpan, numberAt: Int, from direction: Direction) -> [UInt8]? {
    let side = direction == .toServer ? client : server
    guard packet.byteCount >= numberAt + 20 else { return nil }
    let sample = packet.extracting(numberAt + 4..<numberAt + 20).copied()
    guard let mask = QUICCrypto.block(side.headerKey, sample) else { return nil }
    var head = packet.extracting(0..<numberAt + 4).copied()
    head[0] ^= mask[0] & 0x0f
    let numberCount = Int(head[0] & 3) + 1
    var nonce = side.iv
    for i in 0..<numberCount {
      head[numberAt + i] ^= mask[i + 1]
      nonce[12 - numberCount + i] ^= head[numberAt + i]
    }
    head.removeLast(4 - numberCount)
    return QUICCrypto.open(
      key: side.key, nonce: nonce, associated: head,
      sealed: packet.extracting(numberAt + numberCount..<packet.byteCount).copied())
  }
}

enum QUICVersion {
  static let v1: UInt32 = 1
  static let v2: UInt32 = 0x6b33_43cf
  static let q046: UInt32 = 0x5130_3436

  /// Google's versions before the standard: "Q", three digits.
  static func isGoogle(_ version: UInt32) -> Bool { version >> 24 == 0x51 && version >> 16 & 0xff == 0x30 }
}

/// What of OpenSSL the keys need.
///
/// SAFETY: every array is handed over together with its length, and what is written fits: 32 octets of
/// HMAC-SHA-256, 16 of a block, as many of plain text as of sealed text.
enum QUICCrypto {
  static func hmac(_ key: [UInt8], _ bytes: [UInt8]) -> [UInt8]? {
    var out = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 0
    let made = unsafe HMAC(EVP_sha256(), key, Int32(truncatingIfNeeded: key.count), bytes, bytes.count, &out, &count)
    guard unsafe made != nil, count == 32 else { return nil }
    return out
  }

  /// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1), for at most 32 octets.
  static func expand(_ secret: [UInt8], _ label: String, _ count: Int) -> [UInt8]? {
    let name = Array("tls13 \(label)".utf8)
    let info = [0, UInt8(count), UInt8(name.count)] + name + [0, 1]
    return hmac(secret, info).map { Array($0.prefix(count)) }
  }

  /// One block of AES-128.
  static func block(_ key: [UInt8], _ bytes: [UInt8]) -> [UInt8]? {
    guard key.count == 16, bytes.count == 16, let context = unsafe EVP_CIPHER_CTX_new() else { return nil }
    defer { unsafe EVP_CIPHER_CTX_free(context) }
    var out = [UInt8](repeating: 0, count: 32)
    var count: Int32 = 0
    guard unsafe EVP_EncryptInit_ex(context, EVP_aes_128_ecb(), nil, key, nil) == 1,
      unsafe EVP_EncryptUpdate(context, &out, &count, bytes, 16) == 1, count == 16
    else { return nil }
    return Array(out.prefix(16))
  }

  /// AES-128-GCM with its tag of 16 octets at the end.
  static func open(key: [UInt8], nonce: [UInt8], associated: [UInt8], sealed: [UInt8]) -> [UInt8]? {
    guard key.count == 16, nonce.count == 12, sealed.count >= 16, sealed.count < 65_536,
      let context = unsafe EVP_CIPHER_CTX_new()
    else { return nil }
    defer { unsafe EVP_CIPHER_CTX_free(context) }
    let plainCount = sealed.count - 16
    var tag = Array(sealed[plainCount...])
    var out = [UInt8](repeating: 0, count: plainCount + 16)
    var count: Int32 = 0
    guard unsafe EVP_DecryptInit_ex(context, EVP_aes_128_gcm(), nil, key, nonce) == 1,
      unsafe EVP_DecryptUpdate(context, nil, &count, associated, Int32(truncatingIfNeeded: associated.count)) == 1,
      unsafe EVP_DecryptUpdate(context, &out, &count, sealed, Int32(truncatingIfNeeded: plainCount)) == 1,
      unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, 16, &tag) == 1
    else { return nil }
    var last = [UInt8](repeating: 0, count: 16)
    guard unsafe EVP_DecryptFinal_ex(context, &last, &count) == 1 else { return nil }
    return Array(out.prefix(plainCount))
  }
}
