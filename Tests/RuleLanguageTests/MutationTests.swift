import Testing

@testable import RuleLanguage

private let seeds = [
  #"alert tcp $HOME_NET any -> [10.0.0.0/8,!10.1.0.0/16,2001:db8::/32] [80,8080:8090,!8081] (msg:"one \"two\"\; three"; flow:established,to_server; content:!"|0d 0A|abc\\"; depth:12; pcre:"/^a\/[b"]+$/Ri,flow:x"; dsize:1<>5; bsize:!10-20; sid:1; rev:2;)"#,
  #"drop http1:request_line any :1024 <> ![$A,!1.2.3.4-1.2.3.9] !any (content:"a"; threshold: type limit, track by_src, count 1, seconds 60; flags:&0xc0=0x80; sid:4294967295; gid:3;)"#,
  "alert tcp any any -> any any ( \\\r\n  msg:\"x\"; \\\n sid:5;)\n# alert udp any any -> any any (sid:7;)\n",
  "config classification: a-b,Some text, more,3\nconfig reference: cve http://x/\n",
  "suppress gen_id 1, sig_id 3, track by_src, ip [10.0.0.0/8,!10.1.1.1]\nrate_filter gen_id 1, sig_id 5, track by_rule, count 9, seconds 2, new_action drop, timeout 30\n",
]

/// Puts every parser of this module over the same bytes; what it returns is only counted.
private func exercise(_ bytes: [UInt8], _ resolver: inout RuleVariableResolver) -> (rules: Int, faults: Int) {
  let file = RuleFile.parse(bytes, fileName: "f", includeDisabled: true)
  for rule in file.rules {
    _ = rule.message
    _ = try? resolver.addresses(rule.source)
    _ = try? resolver.addresses(rule.destination)
    _ = try? resolver.ports(rule.sourcePorts)
    _ = try? resolver.ports(rule.destinationPorts)
    for option in rule.options { exercise(option) }
  }
  _ = ClassificationFile.parse(bytes, fileName: "f")
  _ = ReferenceFile.parse(bytes, fileName: "f")
  _ = ThresholdFile.parse(bytes, fileName: "f")
  return (file.rules.count, file.diagnostics.filter { $0.severity == .error }.count)
}

private func exercise(_ option: RuleOption) {
  #expect(option.originalName.lowercased() == option.name)
  guard let value = option.value else { return }
  for kind in ValueKind.allCases {
    do throws(RuleValueError) { try kind.parse(value) } catch {
      // A fault lies within the value or just behind it, so that its column can be shown.
      #expect((0...value.count).contains(error.columnOffset))
      #expect(option.diagnostic(error).column > 0)
    }
  }
}

private enum ValueKind: CaseIterable {
  case content, pcre, condition, quoted, signed, size, words, colons

  func parse(_ value: [UInt8]) throws(RuleValueError) {
    switch self {
    case .content: _ = try ContentPattern.parse(value)
    case .pcre: _ = try PCREValue.parse(value)
    case .condition: _ = try NumericCondition.parse(value, max: 65_535)
    case .quoted: _ = try QuotedString.parseOptional(value)
    case .signed: _ = try RuleNumber.signed(value)
    case .size: _ = try RuleNumber.size(value)
    case .words: _ = try RuleValueList.parseKeyValues(value)
    case .colons: _ = try RuleValueList.parseKeyValues(value, separator: 0x3a)
    }
  }
}

/// Lines that hold a rule of their own, so that each must give a rule or a diagnostic.
private func ruleLines(_ bytes: [UInt8]) -> Int? {
  guard !bytes.contains(UInt8(ascii: "\\")) else { return nil }
  return bytes.split(separator: 0x0a).filter { line in
    guard let first = line.first(where: { !ASCII.isSpace($0) }) else { return false }
    return first != UInt8(ascii: "#") && first != UInt8(ascii: ";")
  }.count
}

@Suite("Mutated rules")
struct MutationTests {
  /// Bytes that mean something to a parser are put in more often than others.
  private static let telling = bytes("\\\"';:,()[]!$|/<>-&=#\n\r\t 0x9aZ") + [0, 0xff, 0xc3, 0x80]

  private static func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      guard !bytes.isEmpty else { return }
      let at = Int.random(in: 0..<bytes.count, using: &generator)
      let byte = telling[Int.random(in: 0..<telling.count, using: &generator)]
      switch Int.random(in: 0..<6, using: &generator) {
      case 0: bytes[at] = byte
      case 1: bytes.insert(byte, at: at)
      case 2: bytes.remove(at: at)
      case 3: bytes.removeSubrange(at...)
      case 4: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      default:
        let end = min(bytes.count, at + Int.random(in: 1...20, using: &generator))
        bytes.insert(contentsOf: bytes[at..<end], at: at)
      }
    }
  }

  @Test(arguments: 1...4)
  func `no mutation traps, and every line gives a rule or a diagnostic`(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var resolver = RuleVariableResolver(RuleVariables(addressGroups: ["HOME_NET": "10.0.0.0/8", "A": "!$HOME_NET"]))
    var rules = 0
    var faults = 0
    for round in 0..<6_000 {
      var text = bytes(seeds[round % seeds.count])
      Self.mutate(&text, &generator)
      let result = exercise(text, &resolver)
      rules += result.rules
      faults += result.faults
      if let lines = ruleLines(text), !text.contains(UInt8(ascii: "#")) {
        #expect(result.rules + result.faults == lines, "\(text)")
      }
    }
    #expect(rules > 1_000)
    #expect(faults > 1_000)
  }

  @Test func `every prefix of a rule is a rule or has one diagnostic`() {
    var resolver = RuleVariableResolver(RuleVariables())
    for seed in seeds.prefix(2) {
      let text = bytes(seed)
      for count in 1..<text.count {
        let result = exercise(Array(text.prefix(count)), &resolver)
        #expect(result.rules + result.faults == 1)
      }
    }
  }
}
