import AppLayer
import Traffic

/// The first octet: bit 0 frames in place of bytes, bit 1 without the client's preface, bit 2 bodies are decoded; then
/// a ``Conversation``, whose pieces are type, flags, stream and payload of a frame each where they are frames. However
/// it is cut, the same streams come out, but for decoded bodies: Brotli's decoder does not tell where exactly broken
/// data broke off.
enum HTTP2Target {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let control = reader.u8()
    var conversation = Conversation(reader.rest())
    if control & 1 != 0 { conversation.mapPieces { frame($0.bytes) } }
    if control & 2 == 0 { conversation.pieces.insert(.init(direction: .toServer, bytes: preface), at: 0) }
    var http = HTTPSettings()
    let decodes = control & 4 != 0
    if !decodes { http.responseBodyDecompressLayerLimit = 0 }
    conversation.checkCuts(!decodes) { HTTP2Parser(settings: settings, http: http) }
  }

  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  /// Small enough for a fuzzer's input to reach the limits.
  static let settings: HTTP2Settings = {
    var settings = HTTP2Settings()
    settings.streamCountMax = 4
    settings.tableSizeMax = 4096
    settings.frameBytesMax = 2048
    settings.frameBytesUsual = 1024
    settings.headerListBytesMax = 4096
    settings.continuationCountMax = 4
    settings.resetsPerSecondMax = 4
    settings.controlFramesPerSecondMax = 8
    settings.frameNotesMax = 8
    return settings
  }()

  /// RFC 9113 section 4.1; the stream's number is one octet of the input.
  static func frame(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= 3 else { return bytes }
    let payload = bytes[3...]
    return [0, UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255), bytes[0], bytes[1], 0, 0, 0, bytes[2]] + payload
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    // By the static table (RFC 7541 appendix A): GET, http, /, and an authority that enters the dynamic one.
    let get: [UInt8] = [0x82, 0x86, 0x84, 0x41, 0x01, 0x61]
    let post: [UInt8] = [0x83, 0x86, 0x04, 0x02, 0x2f, 0x62, 0x41, 0x01, 0x61]
    let settings: [UInt8] = [4, 0, 0, 0, 1, 0, 0, 1, 0, 0, 4, 0, 0, 0xff, 0xff]
    return [
      ("get", [1] + Conversation.input([
        (.toServer, settings), (.toServer, [1, 5, 1] + get), (.toClient, [4, 1, 0]),
        (.toClient, [1, 4, 1, 0x88, 0x5f, 0x01, 0x78]), (.toClient, [0, 0, 1, 0x68]), (.toClient, [0, 1, 1, 0x69]),
      ])),
      ("post", [1] + Conversation.input([
        (.toServer, [1, 0x2c, 3, 0, 0, 0, 0, 0x10] + post), (.toServer, [0, 8, 3, 2, 0x61, 0x3d, 0, 0]),
        (.toServer, [8, 0, 3, 0, 0, 1, 0]), (.toServer, [0, 1, 3, 0x62]), (.toClient, [1, 5, 3, 0x8d]),
      ])),
      ("continuation", [1] + Conversation.input([
        (.toServer, [1, 1, 1] + get.prefix(2)), (.toServer, [9, 0, 1] + get[2..<4]), (.toServer, [9, 4, 1] + get[4...]),
        (.toClient, [3, 0, 1, 0, 0, 0, 8]), (.toClient, [7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0x78]),
      ])),
      ("promise", [1] + Conversation.input([
        (.toServer, [1, 5, 1] + get), (.toClient, [5, 4, 1, 0, 0, 0, 2] + get), (.toClient, [1, 5, 2, 0x88]),
        (.toServer, [2, 0, 2, 0, 0, 0, 1, 9]), (.toServer, [6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
      ])),
      ("trailers", [1] + Conversation.input([
        (.toServer, [1, 4, 1] + post), (.toServer, [0, 0, 1, 0x61]), (.toServer, [1, 5, 1, 0, 0x01, 0x74, 0x01, 0x76]),
        // Size updates, an index out of the table, a Huffman code.
        (.toServer, [1, 5, 3, 0x20, 0x3f, 0xe1, 0x1f]), (.toServer, [1, 5, 5, 0xff, 0x00]),
        (.toServer, [1, 5, 7] + get.prefix(3) + [0x41, 0x82, 0x1c, 0x64]),
      ])),
      ("bytes", [0] + Conversation.input([
        (.toServer, [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1] + [0, 0, 6, 1, 5, 0, 0, 0, 1] + get),
        (.toClient, [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88, 0, 0, 2, 0, 9, 0, 0, 0, 1, 1, 0]),
      ])),
      ("gzip", [5] + Conversation.input([
        (.toServer, [1, 5, 1] + get), (.toClient, [1, 4, 1, 0x88, 0x5a, 4] + Array("gzip".utf8)),
        (.toClient, [0, 1, 1, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0]),
      ])),
      ("midstream", [3] + Conversation.input([(.toServer, [1, 5, 1] + get), (.toServer, [0x20, 0, 0, 1])])),
    ]
  }
}
