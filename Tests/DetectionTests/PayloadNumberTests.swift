import RuleLanguage
import Testing
import Traffic

@testable import Detection

@Suite struct PayloadNumberTests {
  /// Options, bytes they hold for, bytes they do not.
  @Test(arguments: [
    ("byte_test:2,>,256,0;", [1, 1], [1, 0]), ("byte_test:2,<,256,0;", [0, 255], [1, 0]),
    ("byte_test:1,=,5,1;", [0, 5], [5, 0]), ("byte_test:1,!=,5,0;", [6], [5]), ("byte_test:1,!,5,0;", [6], [5]),
    ("byte_test:1,>=,5,0;", [5], [4]), ("byte_test:1,<=,5,0;", [5], [6]), ("byte_test:1,!<,5,0;", [5], [4]),
    ("byte_test:1,&,0x80,0;", [0x81], [0x7f]), ("byte_test:1,!&,0x80,0;", [0x7f], [0x80]),
    ("byte_test:1,^,5,0;", [4], [5]), ("byte_test:2,=,1,0,little;", [1, 0], [0, 1]),
    ("byte_test:2,=,1,0,big;", [0, 1], [1, 0]), ("byte_test:2,=,1,0,dce;", [1, 0], [0, 1]),
    ("byte_test:1,=,3,0,bitmask 0x30;", [0x3f], [0x2f]), ("byte_test:1,=,1,-1,relative;", [], [1]),
    ("byte_test:8,=,0x0102030405060708,0;", [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7]),
    ("byte_test:8,>,0xfffffffffffffffe,0;", [UInt8](repeating: 255, count: 8), [UInt8](repeating: 254, count: 8)),
    ("byte_test:3,=,123,0,string,dec;", Array("123".utf8), Array("124".utf8)),
    ("byte_test:4,=,255,0,string,hex;", Array("0xff".utf8), Array("0xfe".utf8)),
    ("byte_test:2,=,255,0,hex,string;", Array("FF".utf8), Array("FE".utf8)),
    ("byte_test:3,=,8,0,string,oct;", Array("010".utf8), Array("011".utf8)),
    ("byte_test:5,=,42,0,string,dec;", Array(" 42x9".utf8), Array("  x42".utf8)),
    ("byte_test:0,=,1234,0,string,dec;", Array("1234 ".utf8), Array("123".utf8)),
    // All of the octets must be there, digits or not.
    ("byte_test:5,=,42,0,string,dec;", Array("42   ".utf8), Array("42".utf8)),
    ("byte_test:2,=,1,1;", [9, 0, 1], [0, 1]),
  ] as [(String, [UInt8], [UInt8])])
  func byteTestHoldsOrNot(options: String, holds: [UInt8], fails: [UInt8]) throws {
    if !holds.isEmpty { #expect(try matches(options, holds), "\(options)") }
    #expect(try !matches(options, fails), "\(options)")
    #expect(try !matches(options, [] as [UInt8]))
  }

  @Test func numbersFromTextDoNotOverflow() throws {
    let digits = Array("99999999999999999999999".utf8)
    #expect(try !matches("byte_test:23,>,0,0,string,dec;", digits))
    #expect(try matches("byte_test:2,>,1000,0,string,dec;", Array("-1".utf8)))
  }

  /// After a content, with the rest of the rule relative to it.
  @Test(arguments: [
    ("byte_test:1,=,7,0,relative;", "a\u{7}", "a\u{8}"), ("byte_test:1,=,7,-2,relative;", "\u{7}a", "\u{8}a"),
    ("byte_jump:1,0,relative; content:\"z\"; distance:0; within:1;", "a\u{2}xxz", "a\u{2}xz"),
    ("byte_jump:1,0,relative,multiplier 2; content:\"z\"; within:1;", "a\u{1}xxz", "a\u{1}xz"),
    ("byte_jump:1,0,relative,align; content:\"z\"; within:1;", "a\u{1}xxxxz", "a\u{1}xz"),
    ("byte_jump:1,0,relative,post_offset -1; content:\"z\"; within:1;", "a\u{2}xz", "a\u{2}xxz"),
    ("byte_jump:1,0,relative,from_beginning; content:\"z\"; within:1;", "za\u{0}", "xa\u{0}z"),
    ("byte_jump:1,0,relative,from_end,post_offset -1; content:\"z\"; within:1;", "a\u{0}xz", "a\u{0}zx"),
    ("byte_jump:1,0,relative,bitmask 0x0f; content:\"z\"; within:1;", "a\u{32}xxz", "a\u{32}xz"),
    ("byte_jump:2,0,relative,little; content:\"z\"; within:1;", "a\u{1}\u{0}xz", "a\u{0}\u{1}xz"),
    // A number of two digits where three octets were asked for ends after its digits.
    ("byte_jump:3,0,relative,string,dec; content:\"z\"; within:1;", "a02xxz", "a02 xxz"),
    ("byte_jump:0,2,relative; content:\"z\"; within:1;", "axxz", "axz"),
    ("byte_extract:1,0,n,relative; content:\"z\"; distance:n; within:1;", "a\u{2}xxz", "a\u{2}xz"),
    ("byte_extract:1,0,n,relative; content:\"z\"; within:n;", "a\u{2}xz", "a\u{2}xxz"),
    ("byte_extract:1,0,n,relative; content:\"z\"; offset:n; depth:1;", "a\u{3}xz", "a\u{3}xxz"),
    ("byte_extract:1,0,n,relative; content:\"z\"; depth:n;", "za\u{2}", "xxxza\u{3}"),
    ("byte_extract:1,0,n,relative,multiplier 2; content:\"z\"; distance:n; within:1;", "a\u{1}xxz", "a\u{1}xz"),
    ("byte_extract:1,0,n,relative,align 4; content:\"z\"; distance:n; within:1;", "a\u{1}xxxxz", "a\u{1}xz"),
    ("byte_extract:3,0,n,relative,string,dec; content:\"z\"; distance:n; within:1;", "a02xxz", "a02xxxz"),
    ("byte_extract:1,0,n,relative; byte_test:1,=,n,0,relative;", "a\u{5}\u{5}", "a\u{5}\u{6}"),
    ("byte_extract:1,0,n,relative; byte_test:n,=,7,0,relative;", "a\u{2}\u{0}\u{7}", "a\u{1}\u{0}\u{7}"),
    ("byte_extract:1,0,n,relative; byte_jump:1,n,relative; content:\"z\"; within:1;", "a\u{1}x\u{0}z", "a\u{0}x\u{0}z"),
    ("byte_extract:1,0,n,relative; isdataat:n,relative;", "a\u{2}xx", "a\u{2}x"),
    ("byte_extract:1,0,n,relative; isdataat:!n,relative;", "a\u{2}x", "a\u{2}xx"),
    ("byte_math:bytes 1, offset 0, oper +, rvalue 1, result n, relative; content:\"z\"; distance:n; within:1;", "a\u{1}xxz", "a\u{1}xz"),
    ("byte_math:bytes 1, offset 0, oper -, rvalue 1, result n, relative; content:\"z\"; distance:n; within:1;", "a\u{2}xz", "a\u{2}xxz"),
    ("byte_math:bytes 1, offset 0, oper *, rvalue 2, result n, relative; content:\"z\"; distance:n; within:1;", "a\u{1}xxz", "a\u{1}xz"),
    ("byte_math:bytes 1, offset 0, oper /, rvalue 2, result n, relative; content:\"z\"; distance:n; within:1;", "a\u{4}xxz", "a\u{4}xz"),
    ("byte_math:bytes 1, offset 0, oper <<, rvalue 1, result n, relative; content:\"z\"; distance:n; within:1;", "a\u{1}xxz", "a\u{1}xz"),
    ("byte_math:bytes 1, offset 0, oper >>, rvalue 1, result n, relative; content:\"z\"; distance:n; within:1;", "a\u{4}xxz", "a\u{4}xz"),
    // The mask is laid over the result: 1 + 0x20 = 0x21, of which 0x30 leaves 2.
    ("byte_math:bytes 1, offset 0, oper +, rvalue 32, result n, relative, bitmask 0x30; content:\"z\"; distance:n; within:1;", "a\u{1}xxz", "a\u{1}xz"),
    ("byte_math:bytes 2, offset 0, oper +, rvalue 0, result n, relative, string dec; content:\"z\"; distance:n; within:1;", "a02xxz", "a02xz"),
    ("byte_math:bytes 2, offset 0, oper +, rvalue 0, result n, relative, endian little; content:\"z\"; distance:n; within:1;", "a\u{1}\u{0}xz", "a\u{1}\u{0}xxz"),
    ("isdataat:2,relative;", "axx", "ax"), ("isdataat:!2,relative;", "ax", "axx"),
    ("isdataat:!1,relative;", "a", "ax"), ("isdataat:1,relative,rawbytes;", "ax", "a"),
    ("isdataat:2;", "axx", "ax"), ("isdataat:!2;", "ax", "axx"),
    ("bsize:3;", "axx", "ax"), ("bsize:>2;", "axx", "ax"), ("bsize:<3;", "ax", "axx"), ("bsize:1<>4;", "ax", "axxx"),
  ])
  func stepsBehindAContentHoldOrNot(options: String, holds: String, fails: String) throws {
    let rule = "content:\"a\"; " + options
    #expect(try matches(rule, holds), "\(rule) on \(Array(holds.utf8))")
    #expect(try !matches(rule, fails), "\(rule) on \(Array(fails.utf8))")
    #expect(try !matches(rule, ""))
  }

  @Test func aJumpToTheVeryEndLeadsOutside() throws {
    #expect(try !matches("byte_jump:1,0;", [1, 9]))
    #expect(try matches("byte_jump:1,0;", [1, 9, 9]))
    // Before the start it stops there.
    #expect(try matches("byte_jump:1,0,post_offset -9; content:\"|01|\"; within:1;", [1, 9, 9]))
    #expect(try !matches("byte_jump:8,0,multiplier 65535;", [UInt8](repeating: 255, count: 9)))
  }

  @Test func divisionByZeroDoesNotMatch() throws {
    let options = "byte_extract:1,0,d; byte_math:bytes 1, offset 1, oper /, rvalue d, result n;"
    #expect(try !matches(options, [0, 1]))
    #expect(try matches(options, [1, 1]))
  }

  @Test func aStepFailsForOnePlaceAndHoldsForTheNext() throws {
    #expect(try matches("content:\"a\"; byte_test:1,=,7,0,relative;", "a\u{1}a\u{7}"))
    #expect(try matches("content:\"a\"; isdataat:!1,relative;", "axa"))
    // The number depends on which content was taken, though the last content is not relative.
    #expect(try matches("content:\"a\"; byte_extract:1,0,n,relative; content:\"z\"; offset:n; depth:1;", "a\u{1}a\u{5}xz"))
  }

  @Test func offsetsOfNumbersCountFromTheStartOfTheStream() throws {
    #expect(try matches("byte_test:1,=,7,100;", [7], offset: 100))
    #expect(try !matches("byte_test:1,=,7,99;", [7], offset: 100))
    #expect(try matches("isdataat:100;", [7], offset: 100))
    #expect(try !matches("isdataat:101;", [7], offset: 100))
    #expect(try matches("bsize:101;", [7], offset: 100))
  }

  @Test func theSizeOfABufferThatIsNotWholeCanOnlyGrow() throws {
    #expect(try matches("bsize:>2;", "abc", isComplete: false))
    #expect(try matches("bsize:>=3;", "abc", isComplete: false))
    #expect(try matches("bsize:!2;", "abc", isComplete: false))
    for options in ["bsize:3;", "bsize:<9;", "bsize:!5;", "bsize:1<>9;", "bsize:>3;"] {
      #expect(try !matches(options, "abc", isComplete: false), "\(options)")
    }
  }

  @Test(arguments: [
    "byte_test:2,>,1;", "byte_test:9,>,1,0;", "byte_test:24,>,1,0,string;", "byte_test:0,>,1,0;",
    "byte_test:2,%,1,0;", "byte_test:2,>,unknown,0;", "byte_test:2,>,1,70000;", "byte_test:2,>,1,0,sideways;",
    "byte_test:2,>,1,0,bitmask;", "byte_jump:2;", "byte_jump:9,0;", "byte_jump:2,0,multiplier 0;",
    "byte_jump:2,0,multiplier 70000;", "byte_jump:2,0,post_offset x;", "byte_jump:2,0,sideways;",
    "byte_extract:2,0;", "byte_extract:9,0,n;", "byte_extract:0,0,n;", "byte_extract:2,0,n,align 3;",
    "byte_extract:2,0,n,hex;", "byte_extract:2,0,n,sideways;", "byte_extract:2,0,n,multiplier 0;",
    "byte_math:bytes 2, offset 0, oper +, rvalue 1;", "byte_math:bytes 11, offset 0, oper +, rvalue 1, result n;",
    "byte_math:bytes 2, offset 0, oper %, rvalue 1, result n;", "byte_math:bytes 2, offset 0, oper +, rvalue m, result n;",
    "byte_math:bytes 2, offset 70000, oper +, rvalue 1, result n;", "isdataat:x;", "isdataat:70000;",
    "isdataat:1,sideways;", "bsize:x;", "bsize:>;",
  ])
  func badNumbersAreRefused(options: String) {
    #expect(throws: (any Error).self) { try program(options) }
  }

  @Test func thereIsALimitToVariables() {
    let options = (0..<33).map { "byte_extract:1,0,n\($0);" }.joined()
    #expect(throws: (any Error).self) { try program(options) }
  }

  @Test func variablesOfOneRuleAreNotThoseOfTheNext() {
    var scratch = PayloadScratch()
    scratch.set(3, 77)
    #expect(scratch.unsigned(.variable(3)) == 77)
    scratch.beginRule()
    #expect(scratch.unsigned(.variable(3)) == 0)
  }

  // MARK: Entropy

  @Test(arguments: [
    ("entropy: value > 1.5;", "abcd", "aaaa"), ("entropy: value 2.0;", "abcd", "abcc"),
    ("entropy: value < 0.5;", "aaaa", "abcd"), ("entropy: value >= 2;", "abcd", "aabb"),
    ("entropy: value <= 1;", "aabb", "abcd"), ("entropy: value != 2;", "aaaa", "abcd"),
    ("entropy: value 0.5-1.5;", "aabb", "abcd"), ("entropy: value !0.5-1.5;", "abcd", "aabb"),
    ("entropy: bytes 2, offset 1, value 0;", "abbc", "abcc"),
  ])
  func entropyHoldsOrNot(options: String, holds: String, fails: String) throws {
    #expect(try matches(options, holds))
    #expect(try !matches(options, fails))
  }

  @Test(arguments: [
    "entropy: bytes 2;", "entropy: value 9;", "entropy: value x;", "entropy: bytes x, value 1;", "entropy: size 2, value 1;",
    "entropy: value ~ 1;", "entropy;",
  ])
  func badEntropyIsRefused(options: String) {
    #expect(throws: (any Error).self) { try program(options) }
  }
}
