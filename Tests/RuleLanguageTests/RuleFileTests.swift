import Testing

@testable import RuleLanguage

private func rule(_ header: String, _ options: String) -> String { "\(header) (\(options))" }

private func rule(_ options: String) -> String { rule("alert tcp any any -> any any", options) }

@Suite("Rule files")
struct RuleFileTests {
  @Test func `a rule keeps its header, its options in order and their places`() throws {
    let rule = try RuleFile.parseRule(
      #"Alert HTTP $HOME_NET [80,8080:] -> !10.0.0.0/8 any (msg:"a\; b \"c\""; Flow:established , to_server; content:!"|0d 0A|x" ; nocase; sid: 7; rev:3; gid:2;)"#,
      fileName: "a.rules")
    #expect(rule.action == .alert)
    #expect(rule.protocolName == "http")
    #expect(rule.protocolHook == nil)
    #expect(rule.source.root == .variable("HOME_NET", offset: 0))
    #expect(rule.sourcePorts.root == .list([.leaf(PortLeaf(low: 80, high: 80)), .leaf(PortLeaf(low: 8080, high: 65535))]))
    #expect(rule.direction == .toDestination)
    #expect(rule.destination.text == "!10.0.0.0/8")
    #expect(rule.destinationPorts.root == .any)
    #expect(rule.options.map(\.name) == ["msg", "flow", "content", "nocase", "sid", "rev", "gid"])
    #expect(rule.options[1].originalName == "Flow")
    #expect(rule.options[1].valueText == "established , to_server")
    #expect(rule.options[2].valueText == #"!"|0d 0A|x""#)
    #expect(rule.options[3].value == nil)
    #expect((rule.sid, rule.rev, rule.gid) == (7, 3, 2))
    #expect(rule.message?.text == #"a; b "c""#)
    #expect(rule.location == RuleLocation(file: "a.rules", line: 1, column: 1))
    #expect(rule.location(of: .destination).column == 36)
    #expect(rule.options[1].location.column == 72)
    #expect(rule.options[1].location(valueOffset: 2).column == 79)
  }

  @Test func `comments, blank lines, CRLF and a byte order mark are no rules`() {
    let text = "\u{feff}# comment\r\n\r\n  \t\r\n; also one\r\n" + rule("sid:1;") + "\r\n#" + rule("sid:2;") + "\r\n"
    let file = RuleFile.parse(text)
    #expect(file.diagnostics == [])
    #expect(file.rules.map(\.sid) == [1])
    #expect(file.rules.first?.location.line == 5)
    #expect(file.rules.first?.bytes.text == rule("sid:1;"))
  }

  @Test func `disabled rules are read when asked for, comments stay comments`() {
    let text = "# alert is a word\n# " + rule("sid:2;") + "\n#" + rule("sid:3;") + "\n" + rule("sid:4;")
    let file = RuleFile.parse(text, includeDisabled: true)
    #expect(file.diagnostics == [])
    #expect(file.rules.map(\.sid) == [2, 3, 4])
    #expect(file.rules.map(\.isEnabled) == [false, false, true])
    #expect(file.rules.first?.location.column == 3)
  }

  @Test func `a backslash at the end of a line joins it with the next, and places stay true`() throws {
    let file = RuleFile.parse("\nalert tcp any any -> any any ( \\\r\n  msg:\"x\"; \\  \n  sid:5; \\\n\\\n)\n" + rule("sid:6;"))
    #expect(file.diagnostics == [])
    #expect(file.rules.map(\.sid) == [5, 6])
    let options = try #require(file.rules.first).options
    #expect(options.map(\.name) == ["msg", "sid"])
    #expect(options[0].location == RuleLocation(file: "rules", line: 3, column: 3))
    #expect(options[1].location == RuleLocation(file: "rules", line: 4, column: 3))
    #expect(options[1].location(valueOffset: 0).column == 7)
    #expect(file.rules.last?.location.line == 7)
  }

  @Test func `a disabled rule over several lines is left out as a whole`() {
    let file = RuleFile.parse("#alert tcp any any -> any any ( \\\n  sid:5;)\n# a comment \\\n" + rule("sid:6;"))
    #expect(file.diagnostics == [])
    #expect(file.rules.map(\.sid) == [6])
  }

  @Test func `a broken rule yields one diagnostic with its sid and does not stop the others`() throws {
    let text = rule("sid:1;") + "\n" + rule("drop tcp any any any any", "msg:\"x\"; sid:2; rev:1;") + "\n" + rule("sid:3;")
    let file = RuleFile.parse(text, fileName: "f")
    #expect(file.rules.map(\.sid) == [1, 3])
    let diagnostic = try #require(file.diagnostics.first)
    #expect(file.diagnostics.count == 1)
    #expect(diagnostic.sid == 2)
    #expect((diagnostic.line, diagnostic.column) == (2, 18))
    #expect(diagnostic.description == "f:2:18: error: 'any' is not a direction (->, <> or =>)")
  }

  @Test func `bytes that are not UTF-8 come through`() throws {
    var bytes = Array("alert tcp any any -> any any (content:\"".utf8)
    bytes += [0xff, 0xfe, 0x80]
    bytes += Array("\"; sid:1;)".utf8)
    let file = RuleFile.parse(bytes, fileName: "f")
    #expect(file.diagnostics == [])
    #expect(file.rules.first?.options.first?.value == [0x22, 0xff, 0xfe, 0x80, 0x22])
  }

  @Test func `a semicolon ends an option even in quotes unless a backslash stands before it`() {
    #expect(RuleFile.parse(rule(#"content:"a\;b"; sid:1;"#)).rules.first?.options.first?.valueText == #""a\;b""#)
    let file = RuleFile.parse(rule(#"content:"a;b"; sid:1;"#))
    #expect(file.rules.isEmpty)
    #expect(file.diagnostics.first?.message == "the closing quote is missing")
  }

  @Test func `hooks and the transactional arrow of Suricata 8 are read`() throws {
    let hooked = try RuleFile.parseRule(rule("drop http1:request_line any any <> any any", "sid:1;"))
    #expect((hooked.protocolName, hooked.protocolHook) == ("http1", "request_line"))
    #expect(hooked.direction == .bothWays)
    #expect(try RuleFile.parseRule(rule("alert http any any => any any", "sid:1;")).direction == .transactional)
  }

  @Test func `every action is known`() throws {
    for action in RuleAction.allCases {
      #expect(try RuleFile.parseRule("\(action.rawValue) ip any any -> any any (sid:1;)").action == action)
    }
  }

  @Test(arguments: [
    ("alrt tcp any any -> any any (sid:1;)", 1, "unknown action 'alrt'", "did you mean alert?"),
    ("alert tcp any any <- any any (sid:1;)", 19, "'<-' is not a direction", "swap the two sides and write ->"),
    ("alert tcp: any any -> any any (sid:1;)", 10, "the protocol or its hook is empty", nil),
    ("alert", 6, "the rule ends before its protocol", nil),
    ("alert tcp any any -> any", 25, "the rule ends before its destination port", nil),
    ("alert tcp any any -> any any", 29, "the rule has no options", nil),
    ("alert tcp any any -> any any ()", 31, "the rule has no options", nil),
    ("alert tcp any any -> any any(sid:1;)", 29, "a blank is missing before '('", nil),
    ("alert tcp [10.0.0.1,] any -> any any (sid:1;)", 21, "source address: an item is missing before ']'", nil),
    ("alert tcp [10.0.0.1 any -> any any (sid:1;)", 11, "source address: ']' is missing", nil),
    ("alert tcp any 65536 -> any any (sid:1;)", 15, "source port: '65536' is not a port between 0 and 65535", nil),
    ("alert tcp any any -> any any (sid:1)", 36, "the last option has no ';' after it", "add ';' before ')'"),
    ("alert tcp any any -> any any (sid:1;;)", 37, "an option without a keyword", "remove the extra ';' or ':'"),
    ("alert tcp any any -> any any (msg:\"x\" nocase; sid:1;)", 45, "the closing quote is missing", "a ';' may be missing after the quote, or one in the value needs a '\\' before it"),
    ("alert tcp any any -> any any (no case; sid:1;)", 31, "'no case' is not a keyword", "a ';' or ':' may be missing, or a ';' in the value before needs a '\\'"),
    ("alert tcp any any -> any any (msg:\"x\";)", 1, "the rule has no sid", "add sid:<number>;"),
    ("alert tcp any any -> any any (sid:1; sid:2;)", 38, "sid stands twice", nil),
    ("alert tcp any any -> any any (msg:\"x\"; msg:\"y\"; sid:2;)", 40, "msg stands twice", nil),
    ("alert tcp any any -> any any (msg:x; sid:2;)", 31, "msg: the value must be in double quotes", nil),
    ("alert tcp any any -> any any (sid:0;)", 35, "sid must be a number between 1 and 4294967295", nil),
    ("alert tcp any any -> any any (sid:4294967296;)", 35, "sid must be a number between 1 and 4294967295", nil),
    ("alert tcp any any -> any any (sid:1; rev:x;)", 42, "rev must be a number between 0 and 4294967295", nil),
    ("alert tcp any any -> any any (sid;)", 31, "sid must be a number between 1 and 4294967295", nil),
  ] as [(String, Int, String, String?)])
  func `faults are told with their place and a way out`(
    text: String, column: Int, message: String, hint: String?
  ) throws {
    let file = RuleFile.parse(text)
    #expect(file.rules.isEmpty)
    #expect(file.diagnostics.count == 1)
    let diagnostic = try #require(file.diagnostics.first)
    #expect(diagnostic.message == message)
    #expect(diagnostic.column == column)
    #expect(diagnostic.hint == hint)
  }

  @Test func `a rule without parentheses is loaded with warnings`() {
    let file = RuleFile.parse("alert tcp any any -> any any sid:1;")
    #expect(file.rules.map(\.sid) == [1])
    #expect(file.diagnostics.map(\.severity) == [.warning, .warning])
  }

  @Test func `a rule longer than the limit is refused and one at the limit is not`() {
    let frame = rule("msg:\"\"; sid:1;").utf8.count
    func ofLength(_ count: Int) -> String {
      rule("msg:\"" + String(repeating: "x", count: count - frame) + "\"; sid:1;")
    }
    #expect(RuleFile.parse(ofLength(RuleFile.ruleBytesMax)).rules.count == 1)
    let file = RuleFile.parse(ofLength(RuleFile.ruleBytesMax + 1))
    #expect(file.rules.isEmpty)
    #expect(file.diagnostics.count == 1)
  }

  @Test func `more options than the limit are refused`() {
    let options = String(repeating: "nocase;", count: RuleParser.optionsMax - 1) + "sid:1;"
    #expect(RuleFile.parse(rule(options)).rules.count == 1)
    #expect(RuleFile.parse(rule("nocase;" + options)).diagnostics.first?.message == "more than 4096 options")
  }
}
