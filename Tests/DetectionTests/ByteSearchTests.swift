import Testing
import Traffic

@testable import Detection

@Suite struct ByteSearchTests {
  private struct Dice {
    var state: UInt64
    mutating func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
  }

  /// Looked for one position after the other.
  private func plain(_ literal: [UInt8], _ bytes: [UInt8], _ from: Int, _ to: Int, _ ignoringCase: Bool) -> Int? {
    guard literal.count <= to - from else { return nil }
    return (from...to - literal.count).first { position in
      literal.indices.allSatisfy { index in
        let byte = bytes[position + index]
        return (ignoringCase ? ByteSearch.lower(byte) : byte) == literal[index]
      }
    }
  }

  /// Short and long stretches, of few octets and of many, so that anchors are frequent in some and rare in others.
  @Test(arguments: [3, 20, 256]) func findsWhatASearchOfEachPositionFinds(octets: Int) {
    var dice = Dice(state: UInt64(octets))
    for _ in 0..<2500 {
      func octet() -> UInt8 { UInt8((0x58 + dice.next(octets)) & 0xff) ^ (dice.next(4) == 0 ? 0x20 : 0) }
      // Around the blocks that are looked at together, and beyond them.
      let bytes = (0..<dice.next(dice.next(2) == 0 ? 200 : 3000)).map { _ in octet() }
      let ignoringCase = dice.next(2) == 0
      var literal = (0..<1 + dice.next(9)).map { _ in octet() }
      // Half of them occur.
      if bytes.count > literal.count, dice.next(2) == 0 {
        let place = dice.next(bytes.count - literal.count)
        literal = Array(bytes[place..<place + literal.count])
      }
      if ignoringCase { literal = literal.map(ByteSearch.lower) }
      let from = dice.next(bytes.count + 1)
      let to = from + dice.next(bytes.count - from + 1)
      let found = ByteSearch.find(
        literal.rawSpan, in: bytes.rawSpan, from: from, to: to, ignoringCase: ignoringCase,
        anchors: dice.next(2) == 0 ? LiteralAnchors(literal) : nil)
      #expect(found == plain(literal, bytes, from, to, ignoringCase))
    }
  }

  @Test func findsALiteralBehindManyFalseAnchors() {
    let literal = Array("~end".utf8)
    var bytes = Array(repeating: UInt8(ascii: "~"), count: 5000)
    #expect(ByteSearch.find(literal.rawSpan, in: bytes.rawSpan, from: 0, to: 5000, ignoringCase: false) == nil)
    bytes += literal
    #expect(ByteSearch.find(literal.rawSpan, in: bytes.rawSpan, from: 0, to: 5004, ignoringCase: true) == 5000)
    // Rare at first, frequent later.
    bytes = Array(repeating: UInt8(ascii: "."), count: 5000) + bytes
    #expect(ByteSearch.find(literal.rawSpan, in: bytes.rawSpan, from: 0, to: 10004, ignoringCase: false) == 10000)
  }

  @Test func theRarestOctetsAreTheAnchors() {
    let anchors = LiteralAnchors(Array("test\u{1}ing~".utf8))
    #expect([anchors.first, anchors.second].sorted() == [4, 8])
    let same = LiteralAnchors([0x90, 0x90, 0x90])
    #expect(same.first != same.second)
  }
}
