import Testing

@testable import AppLayer

struct HTTPTargetTests {
  private func target(
    _ text: String, _ settings: HTTPSettings = HTTPSettings(), isAuthority: Bool = false
  ) -> HTTPTarget {
    let bytes = Array(text.utf8)
    return HTTPTarget(bytes, 0..<bytes.count, isAuthority: isAuthority, settings: settings)
  }

  private func normalized(_ text: String, _ settings: HTTPSettings = HTTPSettings()) -> String? {
    target(text, settings).normalized.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test(arguments: [
    ("/", "/"), ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/../../etc/passwd", "/etc/passwd"),
    ("/a/b/c/./../../g", "/a/g"), ("//a///b", "/a/b"), ("/a\\b", "/a/b"), ("/%2e%2e/x", "/x"),
    ("/a%2fb", "/a/b"), ("/a%5cb", "/a/b"), ("/%41%62", "/Ab"), ("/%4", "/%4"), ("/%zz", "/%zz"),
    ("/a%00b", "/a\u{0}b"), ("/%u002e%u002e/x", "/x"), ("/%uff0e%uff0e/x", "/x"), ("/%u00zz", "/%u00zz"),
    ("/%2541", "/%41"), ("/MiXed", "/MiXed"), ("/a+b?c+d", "/a+b?c+d"), ("/x?%41=%2f..", "/x?A=/.."),
    ("/x?a=b#%66", "/x?a=b#f"), ("/a/..", ""), ("/.hidden/..x/...", "/.hidden/..x/..."),
    ("*", "*"), ("index.html", "index.html"), ("../x", "x"), ("/a/b/.", "/a/b"), ("/a/b/..", "/a"),
    ("/a//../b", "/b"),
  ])
  func targetsAreNormalisedAsAServerWould(raw: String, expected: String) {
    #expect(normalized(raw) ?? "" == expected)
  }

  @Test(
    arguments: [
      ("http://h/p", "h", nil as Int?, "/p"), ("HTTP://User:pw@H.Example.:81/p?q", "h.example", 81, "/p?q"),
      ("http://h", "h", nil, nil), ("http://[::1]:8/x", "[::1]", 8, "/x"), ("http:///p", nil, nil, "/p"),
    ] as [(String, String?, Int?, String?)])
  func absoluteTargetsAreReducedToPathAndQuery(raw: String, host: String?, port: Int?, uri: String?) {
    let found = target(raw)
    #expect(found.hostname.map { String(decoding: $0, as: UTF8.self) } == host)
    #expect(found.port == port)
    #expect(found.normalized.map { String(decoding: $0, as: UTF8.self) } == uri)
  }

  @Test func theAuthorityOfAConnectIsAHost() {
    let found = target("Example.org:443", isAuthority: true)
    #expect(found.hostname.map { String(decoding: $0, as: UTF8.self) } == "example.org")
    #expect(found.port == 443)
    #expect(found.normalized == nil)
    #expect(!found.isHostInvalid)
    #expect(target("a:99999", isAuthority: true).isHostInvalid)
  }

  @Test func doubleEncodingIsUndoneOnlyWhereItIsSet() {
    var settings = HTTPSettings()
    #expect(normalized("/%2541?%2542", settings) == "/%41?%42")
    #expect(!target("/%2541?%2542", settings).isDoubleEncoded)
    settings.doubleDecodePath = true
    settings.doubleDecodeQuery = true
    #expect(normalized("/%2541?%2542", settings) == "/A?B")
    #expect(target("/%2541", settings).isDoubleEncoded)
    #expect(!target("/%41", settings).isDoubleEncoded)
  }

  @Test func personalitiesReadTheSameTargetDifferently() {
    var settings = HTTPSettings()
    settings.personality = .apache2
    #expect(normalized("/a%2fb\\c//d", settings) == "/a%2fb\\c/d")
    settings.personality = .minimal
    #expect(normalized("/a%2fb\\c//d", settings) == "/a%2fb\\c//d")
    settings.personality = .iis60
    #expect(normalized("/a%2fb\\c//d%u0041", settings) == "/a/b/c/dA")
  }

  @Test(
    arguments: [
      (0x0100, "A"), (0x013d, "L"), (0x0148, "n"), (0x0154, "R"), (0x017c, "z"), (0x01ce, "a"),
      (0x0393, "G"), (0x2044, "/"), (0x2215, "/"), (0x2216, "\\"), (0x2025, "?"), (0xff0f, "/"),
      (0xff3c, "\\"), (0x2013, "?"), (0x2524, "?"), (0x252c, "-"), (0x253c, "+"), (0x255d, "+"),
      (0x256c, "+"), (0x2017, "="), (0x0162, "T"), (0x01b0, "u"), (0x3008, "<"), (0x301b, "]"), (0x2550, "-"),
    ] as [(UInt32, String)])
  func charactersAreReducedAsWindowsDoes(code: UInt32, fit: String) {
    #expect(String(UnicodeScalar(HTTPBestFit.octet(for: code))) == fit)
  }

  @Test(
    arguments: [
      ([0x2f, 0xc0, 0xaf], "//"), ([0xe2, 0x82], "?"), ([0xc2, 0xff, 0x61], "??a"), ([0xff, 0x61], "?a"),
      ([0xef, 0xbc, 0x8f], "/"),
    ] as [([UInt8], String)])
  func pathsInUTF8AreReducedOverlongFormsIncluded(bytes: [UInt8], expected: String) {
    #expect(String(decoding: HTTPBestFit.reduceUTF8(bytes), as: UTF8.self) == expected)
  }
}
