import AppLayer
import TestSupport
import Traffic

/// A ``Conversation`` up to new keys. However it is cut, the same comes out.
enum SSHTarget {
  static func run(_ bytes: [UInt8]) { Conversation(bytes).checkCuts { SSHParser() } }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let (client, server) = (Array("SSH-2.0-OpenSSH_9.2 Debian\r\n".utf8), Array("SSH-1.99-x\n".utf8))
    let offer = packet([20] + [UInt8](repeating: 7, count: 16) + lists.flatMap { list($0) } + [0, 0, 0, 0, 0])
    let newKeys = packet([21])
    return [
      ("hassh", Conversation.input([
        (.toServer, client), (.toClient, server), (.toServer, offer), (.toClient, offer + packet([31, 1, 2]) + newKeys),
        (.toServer, newKeys + [1, 2, 3]),
      ])),
      ("banner", Conversation.input([
        (.toServer, Array("SSH-2.0-\(String(repeating: "a", count: 300))\r\n".utf8)), (.toClient, Array("SSH--x\r\n".utf8)),
      ])),
      ("lengths", Conversation.input([
        (.toServer, client + [0, 0, 0, 2, 0, 20] + [0, 1, 0, 0, 4, 20, 1]), (.toClient, server + [0xff, 0, 0, 0, 4, 20]),
      ])),
    ]
  }

  private static let lists = [
    "curve25519-sha256,ext-info-c", "ssh-ed25519", "aes128-ctr", "aes256-ctr", "hmac-sha2-256", "hmac-sha1", "none", "zlib", "", "",
  ]

  private static func list(_ text: String) -> [UInt8] { [0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8) }

  /// Length, padding's length, message, padding (RFC 4253 section 6).
  private static func packet(_ message: [UInt8]) -> [UInt8] {
    let count = message.count + 5
    return [0, 0, UInt8(count >> 8), UInt8(count & 255), 4] + message + [0, 0, 0, 0]
  }
}
