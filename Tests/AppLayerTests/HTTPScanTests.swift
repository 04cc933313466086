import Testing
import Traffic

@testable import AppLayer

struct HTTPScanTests {
  @Test func `the first line end is found wherever it stands among others`() {
    for count in 0..<40 {
      for at in 0...count {
        for octet in [HTTPText.lf, HTTPText.cr] {
          // What differs from a line end by one bit or by a borrow must not be taken for one.
          var bytes = (0..<count).map { [11, 9, 138, 141, 14, 12, 0, 255][$0 % 8] as UInt8 }
          if at < count { bytes[at] = octet }
          let isSought = at < count && octet == HTTPText.lf
          #expect(HTTPScan.firstLineEnd(bytes.rawSpan, 0, stopsAtCR: true) == min(at, count))
          #expect(HTTPScan.firstLineEnd(bytes.rawSpan, 0, stopsAtCR: false) == (isSought ? at : count))
          #expect(HTTPScan.firstLineEnd(bytes.rawSpan, min(at + 1, count), stopsAtCR: true) == count)
        }
      }
    }
  }

  @Test func `tokens are of the characters that RFC 2616 leaves`() {
    let separators = Set("()<>@,;:\\\"/[]?={} \t".utf8)
    for octet in UInt8.min...UInt8.max {
      #expect(HTTPText.isToken(octet) == (octet > 32 && octet < 127 && !separators.contains(octet)))
    }
  }

  @Test func `each field that is known is found by its name in any case, with NULs in it too`() {
    for (name, field) in HTTPKnownField.names {
      let lower = Array(name.description.utf8)
      let upper = Array(name.description.uppercased().utf8)
      let split = [lower[0], 0] + lower.dropFirst()
      let longer = lower + [UInt8(ascii: "x")]
      for spelling in [lower, upper, split] { #expect(HTTPKnownField(spelling, 0..<spelling.count) == field) }
      #expect(HTTPKnownField(longer, 0..<longer.count) == .other)
    }
    #expect(HTTPKnownField.names.count == HTTPKnownField.allCases.count - 1)
  }
}
