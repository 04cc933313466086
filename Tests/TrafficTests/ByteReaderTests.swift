import Testing
import TestSupport
import Traffic

// The reader cannot escape into an expectation, so that each value is read first.

@Suite struct ByteReaderTests {
  let octets: [UInt8] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a]

  @Test func numbersAreReadInNetworkOrder() {
    var reader = ByteReader(octets.rawSpan)
    let one = reader.u8()
    let two = reader.u16()
    let three = reader.u24()
    let four = reader.u32()
    let isAtEnd = reader.isAtEnd
    let position = reader.position
    #expect(one == 0x01)
    #expect(two == 0x0203)
    #expect(three == 0x040506)
    #expect(four == 0x0708_090a)
    #expect(isAtEnd)
    #expect(position == 10)
  }

  @Test(arguments: 0...3)
  func aReadPastTheEndYieldsNilAndStaysWhereItWas(available: Int) {
    let short = Array(octets.prefix(available))
    var reader = ByteReader(short.rawSpan)
    let four = reader.u32()
    let three = available < 3 ? reader.u24() : nil
    let two = available < 2 ? reader.u16() : nil
    let one = available < 1 ? reader.u8() : nil
    let taken = reader.take(available + 1)?.byteCount
    let skipped = reader.skip(available + 1)
    let position = reader.position
    let rest = reader.skip(available)
    let isAtEnd = reader.isAtEnd
    #expect(four == nil && three == nil && two == nil && one == nil && taken == nil)
    #expect(!skipped)
    #expect(position == 0)
    #expect(rest)
    #expect(isAtEnd)
  }

  @Test func negativeAndHugeCountsAreRefused() {
    var reader = ByteReader(octets.rawSpan)
    for count in [-1, Int.min, 11, Int.max] {
      let taken = reader.take(count)?.byteCount
      let skipped = reader.skip(count)
      let position = reader.position
      #expect(taken == nil)
      #expect(!skipped)
      #expect(position == 0)
    }
  }

  @Test func takenBytesAreThoseAtThePosition() {
    var reader = ByteReader(octets.rawSpan)
    let skipped = reader.skip(2)
    let three = reader.take(3)?.copied()
    let none = reader.take(0)?.copied()
    let rest = reader.rest().copied()
    let position = reader.position
    #expect(skipped)
    #expect(three == [3, 4, 5])
    #expect(none == [])
    #expect(rest == [6, 7, 8, 9, 10])
    #expect(position == 5)
  }

  @Test func anEmptyReaderIsAtItsEnd() {
    let empty: [UInt8] = []
    var reader = ByteReader(empty.rawSpan)
    let isAtEnd = reader.isAtEnd
    let one = reader.u8()
    let count = reader.rest().byteCount
    #expect(isAtEnd)
    #expect(one == nil)
    #expect(count == 0)
  }

  @Test func spansReadNumbersAtAnyOffset() {
    let span = octets.rawSpan
    let numbers: [UInt64] = [
      UInt64(span.u8(at: 9)), UInt64(span.u16(at: 1)), UInt64(span.u32(at: 3)), span.u64(at: 1),
    ]
    #expect(numbers == [0x0a, 0x0203, 0x0405_0607, 0x0203_0405_0607_0809])
  }

  @Test func spansAppendToArrays() {
    var out: [UInt8] = [0xff]
    out.append(octets.rawSpan.extracting(8..<10))
    #expect(out == [0xff, 9, 10])
  }
}
