import RuleLanguage
import Testing
import Traffic

@testable import Detection

@Suite struct PayloadTransformTests {
  private func applied(_ options: String, _ text: String) throws -> String {
    String(decoding: try bytes(options, Array(text.utf8)), as: UTF8.self)
  }

  private func bytes(_ options: String, _ input: [UInt8]) throws -> [UInt8] {
    let transforms = try program(options + " content:\"x\";").transforms
    let scratch = PayloadScratch()
    return transforms.reduce(input) { $1.apply($0.rawSpan, scratch: scratch) }
  }

  @Test(arguments: [
    ("dotprefix;", "example.com", ".example.com"), ("dotprefix;", "", "."),
    ("strip_whitespace;", " a\t b\r\nc ", "abc"), ("compress_whitespace;", "a  b \t c", "a b c"),
    ("to_lowercase;", "AbZ@[`{", "abz@[`{"), ("to_uppercase;", "aBz@[`{", "ABZ@[`{"),
    ("header_lowercase;", "Host: ABC\r\nX-Y: Z:W\r\n", "host: ABC\r\nx-y: Z:W\r\n"),
    ("strip_pseudo_headers;", ":method: GET\nhost: a\n:path: /\nb: c\n", "host: a\nb: c\n"),
    ("strip_pseudo_headers;", "a: b\n:path: /", "a: b\n"), ("strip_pseudo_headers;", "a: :b\n\n:c\nd", "a: :b\n\nd"),
    ("url_decode;", "a%20b+c%zz%4", "a b c%zz%4"), ("url_decode;", "%41%5A%5a", "AZZ"),
    ("domain;", "www.example.com", "example.com"), ("domain;", "a.b.co.uk", "b.co.uk"),
    ("tld;", "www.example.com", "com"), ("tld;", "a.b.co.uk", "co.uk"),
    ("xor:\"2020\";", "ABC", "abc"), ("xor:\"20\";", "", ""),
    ("from_base64;", "aGVsbG8=", "hello"), ("from_base64: bytes 4, offset 2;", "xxaGVsbG8=", "hel"),
    ("from_base64: mode rfc2045;", "aGVs\r\nbG8=", "hello"), ("from_base64: mode strict;", "aGVsbG8", "aGVsbG8"),
    ("from_base64: offset 99;", "aGVs", "aGVs"), ("from_base64: bytes 99;", "aGVs", "aGVs"), ("from_base64;", "!", "!"),
    ("pcrexform:\"id=([0-9]+)\";", "a id=42 b", "42"), ("pcrexform:\"id=([0-9]+)\";", "none", "none"),
    ("to_lowercase; dotprefix;", "ABC", ".abc"), ("dotprefix; strip_whitespace; to_uppercase;", "a b", ".AB"),
  ])
  func buffersBecomeWhatTheTransformSays(options: String, input: String, output: String) throws {
    #expect(try applied(options, input) == output)
  }

  @Test(arguments: [
    ("to_md5;", "900150983cd24fb0d6963f7d28e17f72"), ("to_sha1;", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("to_sha256;", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
  ])
  func digestsAreThoseOfTheStandards(options: String, hexadecimal: String) throws {
    let digest = try bytes(options, Array("abc".utf8))
    #expect(digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() == hexadecimal)
  }

  @Test func compressedBuffersAreInflatedUpToTheirLimit() throws {
    // The same line of text, by gzip and by zlib.
    let gzip: [UInt8] = [
      0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9,
      0x57, 0xc8, 0x40, 0x27, 0xb9, 0x00, 0x00, 0x88, 0x59, 0x0b, 0x18, 0x00, 0x00, 0x00,
    ]
    let zlib: [UInt8] = [
      0x78, 0xda, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x27, 0xb9, 0x00, 0x70, 0xbe,
      0x08, 0xbb,
    ]
    let text = Array("hello hello hello hello\n".utf8)
    #expect(try bytes("gunzip;", gzip) == text)
    #expect(try bytes("zlib_deflate;", zlib) == text)
    #expect(try bytes("gunzip: max-size 5;", gzip) == Array("hello".utf8))
    #expect(try bytes("gunzip;", [1, 2, 3]).isEmpty)
  }

  @Test(arguments: [
    "xor;", "xor:\"2\";", "xor:\"zz\";", "from_base64: bytes x;", "from_base64: mode unknown;", "from_base64: bytes 70000;",
    "gunzip: max-size 0;", "gunzip: size 9;", "pcrexform:\"abc\";", "pcrexform:\"(a)(b)\";", "pcrexform:\"(a\";",
    "content:\"a\"; to_lowercase;",
  ])
  func badTransformsAreRefused(options: String) {
    #expect(throws: (any Error).self) { try program(options + " content:\"x\";") }
  }

  @Test func transformsPrecedeTheSteps() throws {
    #expect(try matches("to_lowercase; content:\"abc\"; startswith;", "ABC"))
    #expect(try !matches("to_lowercase; content:\"ABC\";", "ABC"))
    #expect(try matches("strip_whitespace; bsize:3;", " a b c "))
  }

  @Test func equalTransformsAreEqual() throws {
    let first = try program("pcrexform:\"(a)\"; xor:\"20\"; content:\"x\";").transforms
    let second = try program("pcrexform:\"(a)\"; xor:\"20\"; content:\"y\";").transforms
    #expect(first == second)
    #expect(Set(first + second).count == 2)
  }

  // MARK: Absence

  @Test func absenceIsReadAndChecked() throws {
    #expect(try program("absent;").absence == .mustBeAbsent)
    #expect(try program("absent: or_else; content:\"a\";").absence == .mayBeAbsent)
    for options in ["absent; content:\"a\";", "absent: or_else;", "absent: sideways; content:\"a\";"] {
      #expect(throws: (any Error).self) { try program(options) }
    }
  }
}
