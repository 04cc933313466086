import Interception
import Testing
import TestSupport
import Traffic

@testable import Engine

@Suite struct TLSPolicyTests {
  private func decide(
    _ policy: TLSPolicy, sni: String? = nil, client: String = "10.0.0.1", server: String = "203.0.113.9",
    port: UInt16 = 443, alpn: [String] = [], hello: [UInt8] = []
  ) -> PolicyDecision {
    policy.decide(
      PolicyFacts(
        flow: FlowTuple(
          source: ip(client), destination: ip(server), sourcePort: 40_000, destinationPort: port, ipProtocol: 6),
        sni: sni, alpn: alpn, clientHello: hello, clientShape: [], time: Timestamp(seconds: 0)))
  }

  private func policy(_ entries: String) throws -> TLSPolicy {
    TLSPolicy(try settings("policy:\n" + entries).policy)
  }

  @Test func `an entry says what becomes of bad certificates, and nothing else does`() throws {
    let policy = try policy(
      "  - {action: inspect, sni: old.example, bad-certificate: pass-defect}\n  - {action: inspect, sni: new.example}\n")
    #expect(decide(policy, sni: "www.old.example").untrustedUpstream == .passDefect)
    #expect(decide(policy, sni: "new.example").untrustedUpstream == nil)
    for wrong in ["{action: tunnel, sni: a.example, bad-certificate: block}", "{action: inspect, bad-certificate: maybe}"] {
      #expect(refusal { _ = try settings("policy:\n  - \(wrong)\n") }?.contains("bad-certificate") == true)
    }
  }

  @Test func `single defects, versions and staples are set by name, and wrong names are told`() throws {
    let stage = try settings(
      "interception:\n  defects: {expired: pass-defect, revoked: block}\n  min-version: 1.0\n  max-version: 1.2\n").interception
    #expect(stage.defects == [.expired: .passDefect, .revoked: .block])
    #expect((stage.versionMin, stage.versionMax) == (0x0301, 0x0303))
    for wrong in ["defects: {spoilt: block}", "defects: {expired: maybe}", "min-version: 1.4", "ocsp-staple: maybe", "min-version: 1.3\n  max-version: 1.2"] {
      #expect(refusal { _ = try settings("interception:\n  \(wrong)\n") } != nil, "\(wrong)")
    }
  }

  @Test func `without an entry that fits a connection is inspected`() throws {
    #expect(decide(TLSPolicy([]), sni: "a.example").action == .inspect)
    #expect(decide(try policy("  - {action: block, sni: b.example}\n"), sni: "a.example").action == .inspect)
  }

  @Test(arguments: [
    ("bank.example", true), ("www.bank.example", true), ("a.b.bank.example", true), ("BANK.Example", true),
    ("mybank.example", false), ("bank.example.evil", false), ("example", false), ("", false),
  ])
  func `a name fits itself and every name below it`(sni: String, fits: Bool) throws {
    let policy = try policy("  - {action: tunnel, sni: Bank.example}\n")
    #expect(decide(policy, sni: sni).action == (fits ? .tunnel : .inspect))
  }

  @Test func `a list of names reads the same with either end of line`() throws {
    let list = try NameList.parse("# mail\r\na.example\r\n\r\nb.example # x\r\n").get()
    #expect(list == NameList(["a.example", "b.example"]))
    #expect(NameList.parse("a.example\r\nb c\r\n") == .failure(NameList.LineError(line: 2, text: "b c")))
  }

  @Test func `a connection without a name fits no entry that asks for one`() throws {
    let policy = try policy("  - {action: block, sni: [a.example]}\n  - {action: tunnel}\n")
    #expect(decide(policy, sni: nil).action == .tunnel)
  }

  @Test func `the first entry that fits decides, and is named`() throws {
    let policy = try policy(
      """
        - {action: inspect, sni: shop.bank.example}
        - {action: tunnel, sni: bank.example}
        - {action: block, sni: bank.example}

      """)
    #expect(decide(policy, sni: "shop.bank.example").action == .inspect)
    let second = decide(policy, sni: "bank.example")
    #expect(second.action == .tunnel)
    #expect(second.reason.hasSuffix("policy entry 2 (bank.example)"))
  }

  @Test func `all that an entry asks for has to fit`() throws {
    let policy = try policy(
      """
        - {action: block, clients: [10.0.8.0/24, "fd00::/8"], servers: ["!203.0.113.0/24", "!2001:db8:1::/48"], ports: [443, "8000:8100"]}

      """)
    #expect(decide(policy, client: "10.0.8.7", server: "198.51.100.1").action == .block)
    #expect(decide(policy, client: "fd00::1", server: "2001:db8::1", port: 8050).action == .block)
    #expect(decide(policy, client: "10.0.9.7", server: "198.51.100.1").action == .inspect)
    #expect(decide(policy, client: "10.0.8.7", server: "203.0.113.1").action == .inspect)
    #expect(decide(policy, client: "10.0.8.7", server: "198.51.100.1", port: 8101).action == .inspect)
  }

  @Test func `variables stand for addresses`() throws {
    let policy = try policy("  - {action: tunnel, servers: $HOME_NET}\n")
    #expect(decide(policy, server: "192.168.1.1").action == .tunnel)
    #expect(decide(policy, server: "203.0.113.1").action == .inspect)
  }

  @Test func `a new policy is in force from the next connection on`() throws {
    let policy = try policy("  - {action: block}\n")
    #expect(decide(policy).action == .block)
    policy.replace([])
    #expect(decide(policy).action == .inspect)
  }

  // MARK: Lists

  @Test func `categories and files hold names, one a line`() throws {
    let folder = try TemporaryFolder()
    let list = try folder.file("finance.list", Array("# banks\nBank.example\n\n *.pay.example # and below\n".utf8))
    let path = String(list.dropLast("/finance.list".count))
    let policy = TLSPolicy(
      try settings("policy-categories: \(path)\npolicy:\n  - {action: tunnel, category: finance}\n  - {action: block, sni-file: \(list)}\n")
        .policy)
    let decision = decide(policy, sni: "www.bank.example")
    #expect(decision.action == .tunnel)
    #expect(decision.reason.hasSuffix("policy entry 1 (finance: bank.example)"))
    #expect(decide(policy, sni: "pay.example").action == .tunnel)
    #expect(decide(policy, sni: "display.example").action == .inspect)
  }

  @Test(arguments: ["a..b", "http://a.example/", "a,b", "two words"])
  func `a line that is no name is refused with its number`(line: String) throws {
    let folder = try TemporaryFolder()
    let list = try folder.file("x.list", Array("a.example\n\(line)\n".utf8))
    do {
      _ = try settings("policy: [{action: block, sni-file: \(list)}]\n")
      Issue.record("\(line) was taken")
    } catch {
      #expect("\(error)".contains("x.list:2"))
    }
  }

  @Test(arguments: [
    "{action: block, category: ../x}", "{action: block, category: nowhere}", "{action: block, ja3: abc}",
    "{action: block, ja4: t13d}", "{action: block, ech: perhaps}", "{action: block, sni: []}",
    "{action: block, colour: red}", "{action: allow}", "{sni: a.example}",
  ])
  func `an entry that is wrong is refused`(entry: String) {
    #expect(throws: (any Error).self) { try settings("policy: [\(entry)]\n") }
  }

  @Test func `the shipped categories can be read`() throws {
    let folder = String(#filePath.dropLast("Tests/EngineTests/TLSPolicyTests.swift".count)) + "rules/categories"
    for (category, name) in [
      ("health", "my.nhs.uk"), ("finance", "www.paypal.com"), ("government", "www.irs.gov"), ("pinned", "gateway.icloud.com"),
    ] {
      let policy = TLSPolicy(
        try settings("policy-categories: \(folder)\npolicy: [{action: tunnel, category: \(category)}]\n").policy)
      #expect(decide(policy, sni: name).action == .tunnel, "\(category)")
      #expect(decide(policy, sni: "www.example.com").action == .inspect, "\(category)")
    }
  }

  // MARK: What the client offers

  /// A hello with the suites 0x1301 and 0x1302, supported groups, and ECH where asked for, in records of `size`.
  private func hello(ech: Bool, recordsOf size: Int) -> [UInt8] {
    var extensions: [UInt8] = [0, 10, 0, 4, 0, 2, 0, 29]
    if ech { extensions += [0xfe, 0x0d, 0, 1, 0] }
    var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32) + [0, 0, 4, 0x13, 1, 0x13, 2, 1, 0]
    body += [0, UInt8(extensions.count)] + extensions
    let message = [1, 0, 0, UInt8(body.count)] + body
    return stride(from: 0, to: message.count, by: size).flatMap { start in
      let part = message[start..<min(start + size, message.count)]
      return [22, 3, 1, 0, UInt8(part.count)] + part
    }
  }

  @Test(arguments: [200, 7]) func `JA3, JA4 and ECH are taken from the hello`(size: Int) throws {
    // MD5 of "771,4865-4866,10,29,".
    let ja3 = "4c6d55617d64ac9909c6f54b57920668"
    let policy = try policy("  - {action: block, ech: yes}\n  - {action: tunnel, ja3: \(ja3.uppercased())}\n")
    #expect(decide(policy, hello: hello(ech: true, recordsOf: size)).action == .block)
    #expect(decide(policy, hello: hello(ech: false, recordsOf: size)).action == .tunnel)
    #expect(decide(policy, hello: []).action == .inspect)
    let ja4 = try #require(HelloFacts(records: hello(ech: false, recordsOf: size))).ja4
    let other = try self.policy("  - {action: block, ja4: \(ja4)}\n")
    #expect(decide(other, hello: hello(ech: false, recordsOf: size)).action == .block)
    #expect(decide(other, hello: hello(ech: true, recordsOf: size)).action == .inspect)
  }

  @Test func `a hello that is cut short gives no facts`() {
    let whole = hello(ech: true, recordsOf: 9)
    for end in whole.indices { _ = HelloFacts(records: Array(whole[..<end])) }
    #expect(HelloFacts(records: Array(whole.prefix(40))) == nil)
  }

  @Test func `ALPN and the lack of a name`() throws {
    let policy = try policy("  - {action: block, alpn: [smtp, imap]}\n  - {action: tunnel, has-sni: no}\n")
    #expect(decide(policy, sni: "a.example", alpn: ["h2", "imap"]).action == .block)
    #expect(decide(policy, sni: "a.example", alpn: ["h2"]).action == .inspect)
    #expect(decide(policy, alpn: ["h2"]).action == .tunnel)
  }

  @Test func `explaining names each entry up to the one that decides`() throws {
    let policy = try policy(
      "  - {action: block, sni: a.example}\n  - {action: tunnel, clients: 10.0.0.0/8}\n  - {action: block}\n")
    var question = PolicyQuestion(name: "B.example")
    question.client = ip("10.1.2.3")
    let (decision, steps) = policy.explain(question)
    #expect(decision.action == .tunnel)
    #expect(steps.count == 2)
    #expect(steps.first?.hasSuffix("policy entry 1: does not fit") == true)
    #expect(steps.last?.hasSuffix("policy entry 2: fits: tunnel") == true)
  }
}
