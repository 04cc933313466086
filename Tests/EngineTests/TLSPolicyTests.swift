import Interception
import Testing
import TestSupport
import Traffic

@testable import Engine

@Suite struct TLSPolicyTests {
  private func decide(
    _ policy: TLSPolicy, sni: String? = nil, client: String = "10.0.0.1", server: String = "203.0.113.9",
    port: UInt16 = 443
  ) -> PolicyDecision {
    policy.decide(
      PolicyFacts(
        flow: FlowTuple(
          source: ip(client), destination: ip(server), sourcePort: 40_000, destinationPort: port, ipProtocol: 6),
        sni: sni, alpn: [], clientHello: [], clientShape: [], time: Timestamp(seconds: 0)))
  }

  private func policy(_ entries: String) throws -> TLSPolicy {
    TLSPolicy(try settings("policy:\n" + entries).policy)
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
    #expect(second.reason.hasSuffix("policy entry 2"))
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
}
