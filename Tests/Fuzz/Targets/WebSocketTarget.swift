import AppLayer
import Traffic

/// The first octet: bit 0 permessage-deflate, bit 1 frames in place of bytes; then a ``Conversation``, whose pieces
/// are the head and the payload of a frame each where they are frames. However it is cut, the same frames come out.
enum WebSocketTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let control = reader.u8()
    var conversation = Conversation(reader.rest())
    if control & 2 != 0 { conversation.mapPieces { frame($0.bytes, isMasked: $0.direction == .toServer) } }
    conversation.checkCuts { WebSocketParser(isDeflated: control & 1 != 0) }
  }

  /// RFC 6455 section 5.2.
  private static func frame(_ bytes: [UInt8], isMasked: Bool) -> [UInt8] {
    guard let head = bytes.first else { return [] }
    let payload = Array(bytes.dropFirst())
    let mask: [UInt8] = [0x11, 0x22, 0x44, 0x88]
    let bit: UInt8 = isMasked ? 0x80 : 0
    let length =
      payload.count < 126
      ? [bit | UInt8(payload.count)] : [bit | 126, UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255)]
    guard isMasked else { return [head] + length + payload }
    return [head] + length + mask + payload.enumerated().map { $0.element ^ mask[$0.offset & 3] }
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let hello: [UInt8] = Array("Hello".utf8)
    // Of RFC 7692 section 7.2.3.1: "Hello", compressed.
    let compressed: [UInt8] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]
    return [
      ("text", [2] + Conversation.input([(.toServer, [0x81] + hello), (.toClient, [0x82] + hello), (.toClient, [0x88, 3, 0xe8])])),
      ("fragments", [2] + Conversation.input([
        (.toServer, [0x01] + hello), (.toServer, [0x89] + hello), (.toServer, [0x00] + hello), (.toServer, [0x80] + hello),
        (.toClient, [0x8a]),
      ])),
      ("deflate", [3] + Conversation.input([
        (.toServer, [0xc1] + compressed), (.toServer, [0xc1, 0xf2, 0x00, 0x11, 0x00, 0x00]),
        (.toClient, [0x41] + compressed.prefix(3)), (.toClient, [0x80] + compressed.dropFirst(3)), (.toClient, [0xc2, 0xff, 0xff]),
      ])),
      ("lengths", [0] + Conversation.input([
        (.toServer, [0x82, 0xfe, 0, 2, 1, 2, 3, 4, 5, 6]), (.toClient, [0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 7, 0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
      ])),
    ]
  }
}
