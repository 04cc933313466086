import Testing

@testable import RuleLanguage

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// The error that `body` throws, or nil.
func fault(_ body: () throws(RuleValueError) -> Void) -> RuleValueError? {
  do throws(RuleValueError) { try body() } catch { return error }
  return nil
}

@Suite("Content patterns")
struct ContentPatternTests {
  @Test(arguments: [
    (#""abc""#, false, "abc"),
    (#"!"abc""#, true, "abc"),
    (#"! "a""#, true, "a"),
    (#""|41 42|c|44|""#, false, "ABcD"),
    (#""|4142|""#, false, "AB"),
    (#""|4 1|""#, false, "A"),
    (#""a\"b\\c\;d\:e""#, false, #"a"b\c;d:e"#),
    (#""a:b""#, false, "a:b"),
  ])
  func `patterns give their bytes`(value: String, isNegated: Bool, expected: String) throws {
    #expect(
      try ContentPattern.parse(bytes(value)) == ContentPattern(isNegated: isNegated, bytes: bytes(expected)))
  }

  @Test(arguments: [
    ("", 0, "the value must be in double quotes"),
    ("abc", 0, "the value must be in double quotes"),
    (#"""#, 1, "the closing quote is missing"),
    (#""""#, 0, "the quotes are empty"),
    (#""abc"#, 4, "the closing quote is missing"),
    (#""||""#, 1, "the pattern is empty"),
    (#""|4|""#, 1, "an odd number of hexadecimal digits between pipes"),
    (#""|41""#, 1, "the closing pipe is missing"),
    (#""|4g|""#, 3, "'g' between pipes is not a hexadecimal digit"),
    (#""|41,42|""#, 4, "',' between pipes is not a hexadecimal digit"),
    (#""a"b""#, 2, "a quote inside the pattern"),
    (#""a\n""#, 2, "'n' cannot be escaped"),
    (#""a\""#, 2, "a backslash at the end of the pattern"),
  ])
  func `faults are told with their place`(value: String, offset: Int, message: String) {
    let error = fault { () throws(RuleValueError) in _ = try ContentPattern.parse(bytes(value)) }
    #expect(error?.message == message)
    #expect(error?.columnOffset == offset)
  }

  @Test func `a pattern holds at most 65535 bytes`() throws {
    let longest = String(repeating: "a", count: ContentPattern.bytesMax)
    #expect(try ContentPattern.parse(bytes("\"\(longest)\"")).bytes.count == 65_535)
    #expect(fault { () throws(RuleValueError) in _ = try ContentPattern.parse(bytes("\"\(longest)a\"")) } != nil)
  }
}

@Suite("Regular expressions")
struct PCREValueTests {
  @Test func `expression, flags and captures come apart`() throws {
    let value = try PCREValue.parse(bytes(#"!"/^a\/b\;[/"]$/Ri, flow:name, pkt:other""#))
    #expect(value.isNegated)
    #expect(value.pattern == bytes(#"^a\/b\;[/"]$"#))
    #expect(value.flags == bytes("Ri"))
    #expect(value.flagsOffset == 16)
    #expect(value.captures == [.init(scope: .flow, name: bytes("name")), .init(scope: .pkt, name: bytes("other"))])
  }

  @Test func `quotes around an expression may be left out`() throws {
    let value = try PCREValue.parse(bytes(#"!/one\/(two)?/U"#))
    #expect(value.isNegated)
    #expect(value.pattern == bytes(#"one\/(two)?"#))
    #expect(value.flags == bytes("U"))
  }

  @Test func `commas and escaped slashes belong to the expression`() throws {
    let value = try PCREValue.parse(bytes(#""/a{1,2}\\/U""#))
    #expect(value.pattern == bytes(#"a{1,2}\\"#))
    #expect(value.flags == bytes("U"))
    #expect(value.captures == [])
  }

  @Test(arguments: [
    ("a/", 0, "the expression must start with '/'"),
    (#""a/""#, 1, "the expression must start with '/'"),
    (#""/a""#, 3, "the closing '/' is missing"),
    (#""/a\/""#, 5, "the closing '/' is missing"),
    (#""//""#, 2, "the expression is empty"),
    (#""/(a)/,name""#, 7, "'name' is not a capture"),
    (#""/(a)/,flow:""#, 7, "'flow:' is not a capture"),
    (#""/(a)/,""#, 7, "the value is empty"),
    (#""/(a)/, flow:x,""#, 15, "an item of the list is empty"),
  ])
  func `faults are told with their place`(value: String, offset: Int, message: String) {
    let error = fault { () throws(RuleValueError) in _ = try PCREValue.parse(bytes(value)) }
    #expect(error?.message == message)
    #expect(error?.columnOffset == offset)
  }

  @Test func `captures are bounded`() {
    func value(_ count: Int) -> [UInt8] {
      bytes("\"/a/" + String(repeating: ",flow:x", count: count) + "\"")
    }
    #expect(fault { () throws(RuleValueError) in _ = try PCREValue.parse(value(8)) } == nil)
    #expect(fault { () throws(RuleValueError) in _ = try PCREValue.parse(value(9)) } != nil)
  }
}

@Suite("Numbers and lists")
struct NumberAndListTests {
  @Test(arguments: [
    ("5", .equal(5)), ("=0x10", .equal(16)), ("!5", .notEqual(5)), ("!= 5", .notEqual(5)),
    (">10", .greater(10)), ("< 10", .less(10)), (">=1", .greaterOrEqual(1)), ("<=9", .lessOrEqual(9)),
    ("1<>5", .between(low: 1, high: 5)), ("1 - 5", .between(low: 1, high: 5)),
    ("!1-5", .notBetween(low: 1, high: 5)), ("10kb", .equal(10_240)), (">1MiB", .greater(1 << 20)),
    ("&0xc0=0x80", .bits(mask: 0xc0, value: 0x80)), ("&0xc0!=0", .notBits(mask: 0xc0, value: 0)),
    ("0", .equal(0)), ("65535", .equal(65_535)),
  ] as [(String, NumericCondition)])
  func `conditions are read`(value: String, expected: NumericCondition) throws {
    #expect(try NumericCondition.parse(bytes(value)) == expected)
  }

  @Test(arguments: [
    ("", 0), ("x", 0), (">", 1), ("5x", 1), ("5 6", 2), ("<0", 1), (">65535", 1), (">=0", 2), ("<=65535", 2),
    ("65536", 0), ("1<>2", 3), ("5-1", 2), ("1-", 2), ("&1", 2), ("&1=2", 3), ("0x", 2),
    ("18446744073709551616", 0), ("0x10000000000000000", 2), ("99999999999999gb", 0), ("-1", 0),
  ])
  func `conditions that are broken, too large or pointless are refused`(value: String, offset: Int) {
    let error = fault { () throws(RuleValueError) in
      _ = try NumericCondition.parse(bytes(value), max: 65_535)
    }
    #expect(error?.columnOffset == offset)
  }

  @Test func `conditions hold where they say, ranges without their ends`() {
    func numbers(_ condition: NumericCondition) -> [UInt64] { (0...6).filter { condition.holds(for: $0) } }
    #expect(numbers(.equal(2)) == [2])
    #expect(numbers(.notEqual(2)) == [0, 1, 3, 4, 5, 6])
    #expect(numbers(.less(2)) == [0, 1])
    #expect(numbers(.lessOrEqual(2)) == [0, 1, 2])
    #expect(numbers(.greater(4)) == [5, 6])
    #expect(numbers(.greaterOrEqual(4)) == [4, 5, 6])
    #expect(numbers(.between(low: 1, high: 4)) == [2, 3])
    #expect(numbers(.notBetween(low: 1, high: 4)) == [0, 1, 4, 5, 6])
    #expect(numbers(.bits(mask: 3, value: 1)) == [1, 5])
    #expect(numbers(.notBits(mask: 3, value: 1)) == [0, 2, 3, 4, 6])
  }

  @Test func `numbers are read within their range`() throws {
    #expect(try RuleNumber.unsigned(bytes(" 0xFF ")) == 255)
    #expect(try RuleNumber.unsigned(bytes("18446744073709551615")) == .max)
    #expect(try RuleNumber.size(bytes("3GB")) == 3 << 30)
    #expect(try RuleNumber.signed(bytes("-9223372036854775808")) == .min)
    #expect(try RuleNumber.signed(bytes("+4")) == 4)
    #expect(fault { () throws(RuleValueError) in _ = try RuleNumber.signed(bytes("9223372036854775808")) } != nil)
    #expect(fault { () throws(RuleValueError) in _ = try RuleNumber.signed(bytes("-")) } != nil)
    #expect(fault { () throws(RuleValueError) in _ = try RuleNumber.unsigned(bytes("256"), in: 0...255) } != nil)
    #expect(fault { () throws(RuleValueError) in _ = try RuleNumber.unsigned(bytes("1kb")) } != nil)
  }

  @Test func `lists give trimmed items with their offsets and keep brackets together`() throws {
    let items = try RuleValueList.parse(bytes("a, [b,c] ,d"))
    #expect(items.map(\.text) == ["a", "[b,c]", "d"])
    #expect(items.map(\.offset) == [0, 3, 10])
    #expect(fault { () throws(RuleValueError) in _ = try RuleValueList.parse(bytes("a,,b")) }?.columnOffset == 2)
    #expect(fault { () throws(RuleValueError) in _ = try RuleValueList.parse([]) } != nil)
  }

  @Test func `keys and values come apart at blanks or at a given byte`() throws {
    let blanks = try RuleValueList.parseKeyValues(bytes("type limit, Track  by_src,relative"))
    #expect(blanks.map(\.key) == ["type", "track", "relative"])
    #expect(blanks.map { $0.value?.text } == ["limit", "by_src", nil])
    #expect(blanks.map { $0.value?.offset } == [5, 19, nil])
    let colons = try RuleValueList.parseKeyValues(bytes("offset:4, x"), separator: UInt8(ascii: ":"))
    #expect(colons.map { $0.value?.text } == ["4", nil])
    #expect(
      fault { () throws(RuleValueError) in
        _ = try RuleValueList.parseKeyValues(bytes("a:"), separator: UInt8(ascii: ":"))
      } != nil)
  }

  @Test func `quoted strings lose quotes and escapes`() throws {
    #expect(try QuotedString.parse(bytes(#""a\"b\x""#)) == bytes(#"a"bx"#))
    #expect(try QuotedString.parseRaw(bytes(#""a\"b""#)) == bytes(#"a\"b"#))
    #expect(try QuotedString.parseOptional(bytes("ab")) == bytes("ab"))
    #expect(fault { () throws(RuleValueError) in _ = try QuotedString.parse(bytes("\"")) } != nil)
    #expect(fault { () throws(RuleValueError) in _ = try QuotedString.parse(bytes("\"a")) } != nil)
    #expect(fault { () throws(RuleValueError) in _ = try QuotedString.parse(bytes("\"\"")) } != nil)
  }
}
