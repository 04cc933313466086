import Testing
import Traffic

@testable import Interception

@Suite struct LearnedBypassTests {
  private let start = Timestamp(seconds: 1_700_000_000)
  private func later(_ seconds: Int64) -> Timestamp { Timestamp(seconds: start.seconds + seconds) }

  private func flow(client: UInt8 = 1) -> FlowTuple {
    FlowTuple(
      source: IPAddress(ipv4: 0x0a00_0000 | UInt32(client)), destination: IPAddress(ipv4: 0xc000_0201), sourcePort: 40_000,
      destinationPort: 443, ipProtocol: IPProtocol.tcp)
  }

  private func facts(client: UInt8 = 1, sni: String? = "pinned.example", shape: [UInt8] = [1]) -> RelayConnectionFacts {
    var facts = RelayConnectionFacts(number: 1, worker: 0, flow: flow(client: client), openedAt: start)
    facts.sni = sni
    facts.clientShape = shape
    facts.upstreamVerification = .trusted
    return facts
  }

  private func decide(
    _ bypass: LearnedBypass, client: UInt8 = 1, sni: String? = "pinned.example", shape: [UInt8] = [1], at time: Timestamp
  ) -> PolicyDecision.Action {
    bypass.decide(
      PolicyFacts(flow: flow(client: client), sni: sni, alpn: [], clientHello: [], clientShape: shape, time: time)
    ).action
  }

  private let unknownCA = InterceptionEvent.clientHandshakeFailed(TLSFailure(cause: .alert(48), text: "unknown CA"))

  private func bypass(
    base: PolicyDecision.Action = .inspect, _ adjust: (inout LearnedBypassSettings) -> Void = { _ in }
  ) -> LearnedBypass {
    var settings = LearnedBypassSettings()
    adjust(&settings)
    return LearnedBypass(base: UniformPolicy(base), settings: settings)
  }

  @Test func `Three refusals in a row make a tunnel for that client, name and software alone`() {
    let bypass = bypass()
    #expect(bypass.noticed(unknownCA, on: facts(), at: start) == nil)
    #expect(bypass.noticed(unknownCA, on: facts(), at: later(1)) == nil)
    #expect(decide(bypass, at: later(1)) == .inspect)
    guard case .bypassLearned(let entry)? = bypass.noticed(unknownCA, on: facts(), at: later(2)) else {
      Issue.record("nothing learned")
      return
    }
    #expect(entry.state == .active(until: later(2 + 86_400)))
    #expect(decide(bypass, at: later(3)) == .tunnel)
    #expect(decide(bypass, client: 2, at: later(3)) == .inspect)
    #expect(decide(bypass, sni: "other.example", at: later(3)) == .inspect)
    #expect(decide(bypass, sni: nil, at: later(3)) == .inspect)
    #expect(decide(bypass, shape: [2], at: later(3)) == .inspect)
    #expect(decide(bypass, at: later(2 + 86_400)) == .inspect)
  }

  @Test func `A client that accepts in between starts anew, and so do refusals far apart`() {
    let bypass = bypass()
    for second: Int64 in 0..<2 { _ = bypass.noticed(unknownCA, on: facts(), at: later(second)) }
    bypass.accepted(facts())
    for second: Int64 in 2..<4 { _ = bypass.noticed(unknownCA, on: facts(), at: later(second)) }
    #expect(decide(bypass, at: later(4)) == .inspect)
    #expect(bypass.noticed(unknownCA, on: facts(), at: later(4 + 601)) == nil)
    #expect(decide(bypass, at: later(700)) == .inspect)
  }

  @Test func `Failures that say nothing about the certificate do not count`() {
    let bypass = bypass { $0.refusalCount = 1 }
    let decodeError = InterceptionEvent.clientHandshakeFailed(TLSFailure(cause: .alert(50), text: "decode error"))
    #expect(bypass.noticed(decodeError, on: facts(), at: start) == nil)
    var defect = facts()
    defect.upstreamVerification = .untrusted(UpstreamDefect(kind: .expired, code: 10, text: "expired"))
    #expect(bypass.noticed(unknownCA, on: defect, at: start) == nil)
    #expect(bypass.noticed(.ended(.failed(.toClient, "x")), on: facts(), at: start) == nil)
    #expect(bypass.entries.isEmpty)
  }

  @Test func `A server that wants a client certificate and breaks off is learned`() {
    let bypass = bypass { $0.refusalCount = 1 }
    var wants = facts()
    wants.upstreamWantsClientCertificate = true
    #expect(bypass.noticed(.ended(.failed(.toClient, "broken")), on: wants, at: start) == nil)
    #expect(bypass.noticed(.ended(.failed(.toClient, OpenSSLErrors.alertName(116))), on: wants, at: start) != nil)
    #expect(decide(bypass, at: later(1)) == .tunnel)
  }

  @Test func `What policy blocks stays blocked`() {
    let bypass = bypass(base: .block) { $0.refusalCount = 1 }
    _ = bypass.noticed(unknownCA, on: facts(), at: start)
    #expect(decide(bypass, at: later(1)) == .block)
  }

  @Test func `With approval nothing changes until someone approves, and forgetting undoes it`() {
    let bypass = bypass { $0.mode = .approve }
    for second: Int64 in 0..<5 { _ = bypass.noticed(unknownCA, on: facts(), at: later(second)) }
    #expect(decide(bypass, at: later(5)) == .inspect)
    let entry = bypass.entries.first
    #expect(entry?.state == .awaitingApproval)
    guard let key = entry?.key else { return }
    #expect(bypass.approve(key, at: later(6)))
    #expect(decide(bypass, at: later(7)) == .tunnel)
    #expect(bypass.forget(key))
    #expect(!bypass.forget(key))
    #expect(decide(bypass, at: later(8)) == .inspect)
  }

  @Test func `Switched off it learns nothing, and its table stays below its limit`() {
    let off = bypass { $0.mode = .off }
    for second: Int64 in 0..<5 { _ = off.noticed(unknownCA, on: facts(), at: later(second)) }
    #expect(off.entries.isEmpty)
    let small = bypass { $0.entryCountMax = 3 }
    for client: UInt8 in 0..<20 { _ = small.noticed(unknownCA, on: facts(client: client), at: start) }
    #expect(small.entries.count == 3)
  }
}
