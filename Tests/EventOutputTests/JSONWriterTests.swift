import EventOutput
import Foundation
import Testing
import Traffic

func escaped(_ bytes: [UInt8]) -> String {
  var out: [UInt8] = []
  JSONText.appendEscaped(bytes.rawSpan, to: &out)
  return String(decoding: out, as: UTF8.self)
}

@Test func `text is escaped as JSON asks and UTF-8 stays as it is`() {
  #expect(escaped(Array("plain".utf8)) == "plain")
  #expect(escaped(Array("a\"b\\c/d".utf8)) == #"a\"b\\c/d"#)
  #expect(escaped([0x08, 0x09, 0x0a, 0x0c, 0x0d, 0x00, 0x1f, 0x7f]) == "\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}")
  #expect(escaped(Array("é€😀".utf8)) == "é€😀")
  #expect(escaped([]) == "")
}

@Test func `octets that are not UTF-8 are shown in hex, all of them`() {
  // The data of a NULL record: text, a control character, two octets, another.
  #expect(
    escaped([0x56, 0x41, 0x43, 0x4b, 0x44, 0x03, 0xc5, 0xe9, 0x01])
      == #"VACKD\u0003\\xc5\\xe9\u0001"#)
  // One bad octet and what would have been good UTF-8.
  #expect(escaped(Array("é".utf8) + [0xff]) == #"\\xc3\\xa9\\xff"#)
}

@Test func `only well-formed UTF-8 counts as UTF-8`() {
  for bad in [
    [0xc0, 0x80], [0xc1, 0xbf], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x80, 0x80, 0x80],
    [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0x80], [0xc3], [0xe2, 0x82],
    [0xf0, 0x9f, 0x98], [0xc3, 0x28],
  ] as [[UInt8]] {
    #expect(escaped(bad).contains("\\\\x"), "\(bad)")
  }
  for scalar in [0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff] {
    guard let character = UnicodeScalar(UInt32(scalar)) else { continue }
    let text = String(Character(character))
    #expect(escaped(Array(text.utf8)) == text)
  }
}

@Test func `whatever the bytes, the text is valid JSON`() throws {
  var state: UInt64 = 7
  for _ in 0..<20_000 {
    var bytes: [UInt8] = []
    for _ in 0..<Int(state >> 58) {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      bytes.append(UInt8(truncatingIfNeeded: state >> 40))
    }
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    var json = JSONWriter()
    json.beginObject()
    json.member("text", bytes)
    json.endObject()
    let parsed = try JSONSerialization.jsonObject(with: Data(json.bytes)) as? [String: String]
    let text = try #require(parsed?["text"])
    if let same = String(validating: bytes, as: UTF8.self) { #expect(text == same) }
  }
}

@Test func `objects, arrays and values are separated where they must be`() {
  var json = JSONWriter()
  json.beginObject()
  json.member("a", 1)
  json.beginArray("b")
  json.number(-9_223_372_036_854_775_808 as Int64)
  json.number(UInt64.max)
  json.bool(true)
  json.beginObject()
  json.endObject()
  json.endArray()
  json.beginObject("c")
  json.member("d", "e")
  json.endObject()
  json.key(text: [0x22])
  json.string(text: "f")
  json.prepared(Array("\"g\":false".utf8))
  json.endObject()
  json.endLine()
  #expect(
    String(decoding: json.bytes, as: UTF8.self)
      == #"{"a":1,"b":[-9223372036854775808,18446744073709551615,true,{}],"c":{"d":"e"},"\"":"f","g":false}"#
      + "\n")
}

@Test func `Base64 of the examples of RFC 4648`() {
  for (plain, encoded) in [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ] {
    var out: [UInt8] = []
    JSONText.appendBase64(Array(plain.utf8).rawSpan, to: &out)
    #expect(String(decoding: out, as: UTF8.self) == encoded)
  }
  var out: [UInt8] = []
  JSONText.appendBase64([0xfb, 0xff, 0xbf].rawSpan, to: &out)
  #expect(String(decoding: out, as: UTF8.self) == "+/+/")
}

@Test func `addresses are written in full`() throws {
  for (given, full) in [
    ("192.0.2.1", "192.0.2.1"),
    ("::", "0000:0000:0000:0000:0000:0000:0000:0000"),
    ("::1", "0000:0000:0000:0000:0000:0000:0000:0001"),
    ("2001:db8::", "2001:0db8:0000:0000:0000:0000:0000:0000"),
    ("2001:db8:0:1:1:1:1:1", "2001:0db8:0000:0001:0001:0001:0001:0001"),
    ("2001:0:0:1:0:0:0:1", "2001:0000:0000:0001:0000:0000:0000:0001"),
    ("fe80::a:0:0:1", "fe80:0000:0000:0000:000a:0000:0000:0001"),
  ] {
    let address = try #require(IPAddress(given))
    var out: [UInt8] = []
    JSONText.appendAddress(address, to: &out)
    #expect(String(decoding: out, as: UTF8.self) == full)
  }
}

@Test func `times are written in UTC to the microsecond, before 1970 too`() {
  var text = TimestampText()
  for (time, expected) in [
    (Timestamp(seconds: 1_496_936_758, nanoseconds: 525_601_999), "2017-06-08T15:45:58.525601+0000"),
    (Timestamp(seconds: 1_496_936_758, nanoseconds: 1000), "2017-06-08T15:45:58.000001+0000"),
    (Timestamp(seconds: 951_782_400), "2000-02-29T00:00:00.000000+0000"),
    (Timestamp(seconds: 0), "1970-01-01T00:00:00.000000+0000"),
    (Timestamp(nanoseconds: -1), "1969-12-31T23:59:59.999999+0000"),
  ] {
    var out: [UInt8] = []
    text.append(time, to: &out)
    #expect(String(decoding: out, as: UTF8.self) == expected)
  }
}

@Test func `what is not printable becomes a dot, line ends stay`() {
  var out: [UInt8] = []
  JSONText.appendPrintable(Array("GET /\r\n\"\\".utf8 + [0, 9, 0x7f, 0xff]).rawSpan, to: &out)
  #expect(String(decoding: out, as: UTF8.self) == #"GET /\r\n\"\\...."#)
}
