import TestSupport
import Testing

@testable import AppLayer

@Suite struct MIMEBase64Tests {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  private func encoded(_ bytes: [UInt8]) -> [UInt8] {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = Array(bytes[start..<min(start + 3, bytes.count)])
      let number = (0..<3).reduce(0) { $0 << 8 | ($1 < group.count ? Int(group[$1]) : 0) }
      for place in 0..<4 { text.append(place <= group.count ? Self.alphabet[number >> (18 - 6 * place) & 63] : 61) }
    }
    return text
  }

  /// Wherever lines end and pieces are cut, and with octets of no meaning between.
  @Test(arguments: 0..<50) func whatWasEncodedComesOut(seed: Int) {
    var random = SeededGenerator(seed: UInt64(seed) + 11)
    let bytes = (0..<Int(random.next() % 300)).map { _ in UInt8(random.next() & 255) }
    let noise: [[UInt8]] = [[13, 10], [32], []]
    var text: [UInt8] = []
    for octet in encoded(bytes) {
      text.append(octet)
      if random.next() % 20 == 0 { text += noise[Int(random.next() % 3)] }
    }
    var (decoder, out) = (MIMEBase64(), [UInt8]())
    var rest = text[...]
    while !rest.isEmpty {
      let count = min(rest.count, 1 + Int(random.next() % 40))
      decoder.decode(rest.prefix(count), into: &out)
      rest = rest.dropFirst(count)
    }
    #expect(out == bytes)
    #expect(!decoder.hasInvalid)
  }

  @Test func piecesBehindPaddingAreReadOn() {
    var (decoder, out) = (MIMEBase64(), Array("before ".utf8))
    decoder.decode(Array("YQ==YmM=\r\nZGVm".utf8)[...], into: &out)
    #expect(String(decoding: out, as: UTF8.self) == "before abcdef")
    #expect(!decoder.hasInvalid)
    decoder.decode(Array("Z*2h-p".utf8)[...], into: &out)
    #expect(String(decoding: out, as: UTF8.self) == "before abcdefghi")
    #expect(decoder.hasInvalid)
  }
}
