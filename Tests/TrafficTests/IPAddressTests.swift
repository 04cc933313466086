import Testing
import TestSupport
import Traffic

@Suite struct IPAddressTests {
  @Test(arguments: ["0.0.0.0", "127.0.0.1", "192.0.2.255", "255.255.255.255"])
  func dottedQuadsComeBackAsTheyWere(text: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.isIPv4)
    #expect(address.description == text)
    #expect(address.networkBytes.count == 4)
  }

  @Test func ipv4IsHeldAsAMappedAddress() {
    let address = IPAddress(ipv4: 0x7f00_0001)
    #expect(address == ip("127.0.0.1"))
    #expect(address == ip("::ffff:127.0.0.1"))
    #expect(address.ipv4 == 0x7f00_0001)
    #expect(address.networkBytes == [127, 0, 0, 1])
  }

  @Test(arguments: [
    ("::", "0000:0000:0000:0000:0000:0000:0000:0000"),
    ("::1", "0000:0000:0000:0000:0000:0000:0000:0001"),
    ("2001:db8::8:800:200c:417a", "2001:0db8:0000:0000:0008:0800:200c:417a"),
    ("fe80::", "fe80:0000:0000:0000:0000:0000:0000:0000"),
    ("1:2:3:4:5:6:7:8", "0001:0002:0003:0004:0005:0006:0007:0008"),
    ("64:ff9b::192.0.2.33", "0064:ff9b:0000:0000:0000:0000:c000:0221"),
    ("2001:DB8::A", "2001:0db8:0000:0000:0000:0000:0000:000a"),
  ])
  func ipv6TextIsReadAndWrittenInFull(text: String, full: String) throws {
    let address = try #require(IPAddress(text))
    #expect(!address.isIPv4)
    #expect(address.description == full)
    #expect(address.networkBytes.count == 16)
    #expect(IPAddress(full) == address)
  }

  @Test(arguments: [
    "", ".", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.", "1..2.3", " 1.2.3.4", "1.2.3.4 ", "+1.2.3.4",
    "0001.2.3.4", "1.2.3.-4", "١.2.3.4", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::", "::1.2.3", "1.2.3.4::", "::+1", "fe80::1%eth0",
    "1:2:3:4:5:6:7:1.2.3.4", "::/0", ":1", "1:",
  ])
  func textThatIsNoAddressIsRefused(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test func orderFollowsTheNumber() {
    let ascending = ["::", "::1", "0.0.0.0", "10.0.0.1", "10.0.0.2", "2001:db8::", "ffff::"].map { ip($0) }
    #expect(ascending.shuffled().sorted() == ascending)
    #expect(!(ip("10.0.0.1") < ip("10.0.0.1")))
  }

  @Test func writtenAddressesReadBackAsThemselves() {
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<2_000 {
      // Half of them with zero words, which text forms shorten.
      let mask = generator.next() & generator.next()
      let address = IPAddress(high: generator.next() & mask, low: generator.next() & mask)
      #expect(IPAddress(address.description) == address)
      let bytes = address.networkBytes
      let span = bytes.rawSpan
      #expect(address.isIPv4 || (span.u64(at: 0) == address.high && span.u64(at: 8) == address.low))
    }
  }
}
