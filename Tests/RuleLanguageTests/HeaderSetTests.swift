import Testing

@testable import RuleLanguage

private let variables = RuleVariables(
  addressGroups: [
    "HOME_NET": "[192.168.0.0/16,10.0.0.0/8]", "EXTERNAL_NET": "!$HOME_NET", "ANY": "any",
    "NOT_ONE": "!1.2.3.4", "LOOP": "[$LOOP2,1.1.1.1]", "LOOP2": "$LOOP", "BROKEN": "[1.2.3", "EMPTY": "",
  ],
  portGroups: ["HTTP_PORTS": "80", "SHELL": "!80", "LIST": "36,80"])

private func addresses(_ text: String) throws(RuleValueError) -> AddressSet {
  try variables.resolve(try AddressExpression(text))
}

private func ports(_ text: String) throws(RuleValueError) -> [String] {
  try variables.resolve(try PortExpression(text)).ranges.map { "\($0.low)-\($0.high)" }
}

private func holds(_ set: AddressSet, _ text: String) throws -> Bool {
  let address = try #require(RuleAddress(text))
  return set.contains(high: address.high, low: address.low)
}

@Suite("Addresses")
struct AddressTests {
  @Test(arguments: [
    ("0.0.0.0", 0, 0xffff_0000_0000), ("255.255.255.255", 0, 0xffff_ffff_ffff),
    ("10.1.2.3", 0, 0xffff_0a01_0203), ("::", 0, 0), ("::1", 0, 1), ("1::", 0x0001_0000_0000_0000, 0),
    ("2001:db8::8:800:200C:417A", 0x2001_0db8_0000_0000, 0x0008_0800_200c_417a),
    ("1:2:3:4:5:6:7:8", 0x0001_0002_0003_0004, 0x0005_0006_0007_0008),
    ("1:2:3:4:5:6:7::", 0x0001_0002_0003_0004, 0x0005_0006_0007_0000),
    ("::ffff:1.2.3.4", 0, 0xffff_0102_0304), ("64:ff9b::1.2.3.4", 0x0064_ff9b_0000_0000, 0x0102_0304),
  ] as [(String, UInt64, UInt64)])
  func `addresses are read`(text: String, high: UInt64, low: UInt64) {
    #expect(RuleAddress(text) == RuleAddress(high: high, low: low))
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04", "1.2.3.", "1.2.3.4 ", "a.b.c.d", "1.2.3.1000",
    ":", ":::", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "1:2:3:4:5:6:7:8::",
    "1.2.3.4::", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "::1%eth0",
  ])
  func `what is no address is refused`(text: String) {
    #expect(RuleAddress(text) == nil)
  }
}

@Suite("Header sets")
struct HeaderSetTests {
  @Test func `any takes both families`() throws {
    let set = try addresses("any")
    #expect(set.isAny)
    #expect(try holds(set, "1.2.3.4"))
    #expect(try holds(set, "2001:db8::1"))
    #expect(try addresses("[0.0.0.0/0,::/0]").isAny)
    #expect(try addresses("$ANY").isAny)
  }

  @Test func `blocks, netmasks and ranges end where they should`() throws {
    for text in ["10.1.2.128/25", "10.1.2.200/255.255.255.128", "10.1.2.128-10.1.2.255", "10.1.2.128 - 10.1.2.255"] {
      let set = try addresses("[\(text)]")
      #expect(set.ranges.count == 1)
      #expect(try !holds(set, "10.1.2.127"))
      #expect(try holds(set, "10.1.2.128"))
      #expect(try holds(set, "10.1.2.255"))
      #expect(try !holds(set, "10.1.3.0"))
    }
    let ipv6 = try addresses("2001:db8::/33")
    #expect(try holds(ipv6, "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"))
    #expect(try !holds(ipv6, "2001:db8:8000::"))
    #expect(try addresses("::1/128").ranges.count == 1)
  }

  @Test func `IPv6 blocks leave IPv4 alone`() throws {
    let set = try addresses("::/0")
    #expect(try holds(set, "::1"))
    #expect(try holds(set, "ffff::"))
    #expect(try !holds(set, "1.2.3.4"))
  }

  @Test func `overlapping and touching ranges become one`() throws {
    #expect(try addresses("[10.0.0.0/9,10.128.0.0/9,10.5.0.0/16]").ranges.count == 1)
    #expect(try ports("[80:90,85:100,101,103]") == ["80-101", "103-103"])
  }

  @Test func `negated entries of a list are taken from the others, a list of only such from any`() throws {
    let set = try addresses("[10.0.0.0/8,!10.1.0.0/16]")
    #expect(try holds(set, "10.0.255.255"))
    #expect(try !holds(set, "10.1.0.0"))
    #expect(try !holds(set, "10.1.255.255"))
    #expect(try holds(set, "10.2.0.0"))
    let rest = try addresses("[!10.0.0.0/8,!11.0.0.0/8]")
    #expect(try !holds(rest, "10.9.9.9"))
    #expect(try !holds(rest, "11.9.9.9"))
    #expect(try holds(rest, "12.0.0.0"))
    #expect(try ports("!80") == ["0-79", "81-65535"])
    #expect(try ports("[!80,!443]") == ["0-79", "81-442", "444-65535"])
    #expect(try ports("[1024:,!8080]") == ["1024-8079", "8081-65535"])
    #expect(try ports("[!0,!65535]") == ["1-65534"])
  }

  @Test func `negation of one family says nothing of the other`() throws {
    #expect(try !holds(addresses("!10.0.0.0/8"), "2001:db8::1"))
    #expect(try !holds(addresses("!2001:db8::/32"), "10.0.0.1"))
    let both = try addresses("[2001:db8::/32,!10.0.0.0/8]")
    #expect(try holds(both, "2001:db8::1"))
    #expect(try !holds(both, "2001:db9::1"))
    #expect(try holds(both, "11.0.0.1"))
    #expect(try !holds(both, "10.0.0.1"))
    let all = try addresses("[any,!10.0.0.0/8]")
    #expect(try holds(all, "2001:db8::1"))
    #expect(try !holds(all, "10.0.0.1"))
    #expect(try holds(addresses("[2001:db8::/32,!2001:db8:1::/48]"), "2001:db8:2::1"))
    #expect(try !holds(addresses("[2001:db8::/32,!2001:db8:1::/48]"), "2001:db8:1::1"))
  }

  @Test func `negation runs through variables and lists`() throws {
    #expect(try !holds(addresses("$EXTERNAL_NET"), "10.1.1.1"))
    #expect(try holds(addresses("$EXTERNAL_NET"), "8.8.8.8"))
    #expect(try addresses("!$EXTERNAL_NET") == addresses("$HOME_NET"))
    #expect(try addresses("[$HOME_NET,!$NOT_ONE]") == addresses("[$HOME_NET,1.2.3.4]"))
    #expect(try addresses("![10.0.0.0/8,!1.2.3.4]") == addresses("1.2.3.4"))
    #expect(try ports("!$SHELL") == ["80-80"])
    #expect(try ports("$LIST") == ["36-36", "80-80"])
  }

  @Test func `ports are read with open ends`() throws {
    #expect(try ports(":80") == ["0-80"])
    #expect(try ports("1024:") == ["1024-65535"])
    #expect(try ports("[80 : 90, 5]") == ["5-5", "80-90"])
    #expect(try ports("any") == ["0-65535"])
    let set = try variables.resolve(try PortExpression("[80:90,443]"))
    #expect([79, 80, 90, 91, 442, 443, 444].map { set.contains($0) } == [false, true, true, false, false, true, false])
  }

  @Test(arguments: [
    ("!any", "'!any' matches nothing"), ("[10.0.0.0/8,!10.0.0.0/8]", "the address expression leaves nothing to match"),
    ("!$ANY", "'!any' matches nothing"), ("!0.0.0.0/0", "all IPv4 addresses are left out"),
    ("[1.1.1.1,!0.0.0.0-127.255.255.255,!128.0.0.0/1]", "all IPv4 addresses are left out"),
    ("!::/0", "the address expression leaves nothing to match"), ("$HOME_NTE", "address variable $HOME_NTE is not defined"),
    ("$LOOP", "variable $LOOP is defined by itself ($LOOP → $LOOP2 → $LOOP)"),
    ("$BROKEN", "variable $BROKEN: '1.2.3' is not an address"), ("$EMPTY", "variable $EMPTY: nothing here"),
    ("$", "'$' without the name of a variable"), ("[]", "an item is missing before ']'"),
    ("[1.1.1.1,,2.2.2.2]", "an item is missing before ','"), ("[1.1.1.1", "']' is missing at the end of the list"),
    ("1.1.1.1]", "']' without a '[' before it"), ("!!1.1.1.1", "'!' twice in a row"),
    ("1.1.1.1!2.2.2.2", "'!' where ',' or the end is expected"), ("1.1.1.1/33", "'33' is not a prefix length between 0 and 32"),
    ("::/129", "'129' is not a prefix length between 0 and 128"), ("1.1.1.1/255.0.255.0", "the netmask has gaps"),
    ("2.2.2.2-1.1.1.1", "the range ends before it starts"), ("1.1.1.1-::2", "a range from IPv4 to IPv6 or back"),
    ("1.1.1.1/", "'' is not a prefix length between 0 and 32"), ("HOME_NET", "'HOME_NET' is not an address"),
  ])
  func `address faults are told`(text: String, message: String) {
    #expect(fault { () throws(RuleValueError) in _ = try addresses(text) }?.message == message)
  }

  @Test(arguments: [
    ("65536", 0), ("80:65536", 3), ("90:80", 0), (":", 0), ("80-90", 0), ("http", 0), ("", 0), ("!any", 0), ("[80,!80]", 0),
    ("[80,$NOPE]", 4), ("1:2:3", 2),
  ])
  func `port faults are told with their place`(text: String, offset: Int) {
    #expect(fault { () throws(RuleValueError) in _ = try ports(text) }?.columnOffset == offset)
  }

  @Test func `a name that is nearly right is suggested`() {
    let error = fault { () throws(RuleValueError) in _ = try addresses("[any,$HOME_NTE]") }
    #expect(error?.hint == "did you mean $HOME_NET?")
    #expect(error?.columnOffset == 5)
  }

  @Test func `nesting is bounded`() {
    let limit = HeaderExpressionLimits.nestingMax
    func nested(_ count: Int) -> String {
      String(repeating: "[", count: count) + "1.1.1.1" + String(repeating: "]", count: count)
    }
    #expect(fault { () throws(RuleValueError) in _ = try addresses(nested(limit - 1)) } == nil)
    #expect(fault { () throws(RuleValueError) in _ = try addresses(nested(limit)) } != nil)
    #expect(fault { () throws(RuleValueError) in _ = try addresses(nested(100_000)) } != nil)
  }

  @Test func `variables that double each other are bounded`() {
    var groups = ["V0": "1.1.1.1"]
    for index in 1...40 { groups["V\(index)"] = "[$V\(index - 1),$V\(index - 1)]" }
    let error = fault { () throws(RuleValueError) in
      _ = try RuleVariables(addressGroups: groups).resolve(try AddressExpression("$V40"))
    }
    #expect(error?.message == "variables unfold to more than 1048576 items")
  }

  @Test func `faults of variables are listed by name`() {
    #expect(variables.check().map(\.name) == ["BROKEN", "EMPTY", "LOOP", "LOOP2"])
  }

  @Test func `range arithmetic agrees with plain sets`() {
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<3_000 {
      let (takenRanges, taken) = Self.random(&generator)
      let (leftRanges, left) = Self.random(&generator)
      let result = RangeSet.subtract(RangeSet.union(leftRanges), from: RangeSet.union(takenRanges))
      #expect(Set(result.flatMap { Array($0) }) == taken.subtracting(left))
      for (one, next) in zip(result, result.dropFirst()) { #expect(one.upperBound < next.lowerBound) }
    }
  }

  private static func random(_ generator: inout SeededGenerator) -> ([ClosedRange<UInt16>], Set<UInt16>) {
    let ranges = (0..<Int.random(in: 0...5, using: &generator)).map { _ -> ClosedRange<UInt16> in
      // Some at each end of the space, where stepping past the end would wrap.
      let base: UInt16 = Bool.random(using: &generator) ? 0 : 65_500
      let low = base + UInt16.random(in: 0...35, using: &generator)
      return low...UInt16(min(65_535, Int(low) + Int.random(in: 0...8, using: &generator)))
    }
    return (ranges, Set(ranges.flatMap { Array($0) }))
  }
}
