import Glibc
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

  private func facts(
    client: UInt8 = 1, sni: String? = "pinned.example", shape: [UInt8] = [1], openedAt: Timestamp? = nil
  ) -> RelayConnectionFacts {
    var facts = RelayConnectionFacts(number: 1, worker: 0, flow: flow(client: client), openedAt: openedAt ?? start)
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
    #expect(bypass.noticed(unknownCA, on: facts(openedAt: start), at: start) == nil)
    #expect(bypass.noticed(unknownCA, on: facts(openedAt: later(1)), at: later(1)) == nil)
    #expect(decide(bypass, at: later(1)) == .inspect)
    guard case .bypassLearned(let entry)? = bypass.noticed(unknownCA, on: facts(openedAt: later(2)), at: later(2)) else {
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
    for second: Int64 in 0..<2 { _ = bypass.noticed(unknownCA, on: facts(openedAt: later(second)), at: later(second)) }
    bypass.accepted(facts())
    for second: Int64 in 2..<4 { _ = bypass.noticed(unknownCA, on: facts(openedAt: later(second)), at: later(second)) }
    #expect(decide(bypass, at: later(4)) == .inspect)
    #expect(bypass.noticed(unknownCA, on: facts(openedAt: later(4 + 601)), at: later(4 + 601)) == nil)
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
    _ = bypass.noticed(unknownCA, on: facts(openedAt: start), at: start)
    #expect(decide(bypass, at: later(1)) == .block)
  }

  @Test func `With approval nothing changes until someone approves, and forgetting undoes it`() {
    let bypass = bypass { $0.mode = .approve }
    for second: Int64 in 0..<5 { _ = bypass.noticed(unknownCA, on: facts(openedAt: later(second)), at: later(second)) }
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
    for second: Int64 in 0..<5 { _ = off.noticed(unknownCA, on: facts(openedAt: later(second)), at: later(second)) }
    #expect(off.entries.isEmpty)
    let small = bypass { $0.entryCountMax = 3 }
    for client: UInt8 in 0..<20 { _ = small.noticed(unknownCA, on: facts(client: client), at: start) }
    #expect(small.entries.count == 3)
  }

  // MARK: Attempts

  private func moment(_ milliseconds: Int64) -> Timestamp {
    Timestamp(nanoseconds: start.nanoseconds + milliseconds * 1_000_000)
  }

  @Test func `Connections that a client opens at once count once, however many break off and however late`() {
    let bypass = bypass()
    for number: Int64 in 0..<20 {
      let opened = moment(number * 40)
      // Some take seconds to fail: the client had opened them all before.
      _ = bypass.noticed(unknownCA, on: facts(openedAt: opened), at: moment(number * 300))
    }
    #expect(decide(bypass, at: later(10)) == .inspect)
    #expect(bypass.entries.map(\.refusals) == [1])
    // It comes again, and once more.
    for second: Int64 in [20, 40] {
      for _ in 0..<6 { _ = bypass.noticed(unknownCA, on: facts(openedAt: later(second)), at: later(second + 1)) }
      #expect((decide(bypass, at: later(second + 2)) == .tunnel) == (second == 40))
    }
  }

  @Test func `Failures that are under way when a tunnel is learned change nothing about it`() {
    let bypass = bypass { $0.refusalCount = 1 }
    #expect(bypass.noticed(unknownCA, on: facts(), at: later(1)) != nil)
    #expect(bypass.noticed(unknownCA, on: facts(openedAt: later(2)), at: later(3)) == nil)
    #expect(bypass.entries.map(\.state) == [.active(until: later(1 + 86_400))])
  }

  @Test func `What has run out is learned anew by as many refusals, and approved anew`() {
    let bypass = bypass { $0.mode = .approve; $0.refusalCount = 2; $0.bypassSeconds = 100 }
    for second: Int64 in [0, 2] { _ = bypass.noticed(unknownCA, on: facts(openedAt: later(second)), at: later(second)) }
    #expect(bypass.entries.map(\.state) == [.awaitingApproval])
    if let id = bypass.entries.first?.id { #expect(bypass.approve(id: id, at: later(3))) }
    #expect(decide(bypass, at: later(4)) == .tunnel)
    for second: Int64 in [200, 202] { _ = bypass.noticed(unknownCA, on: facts(openedAt: later(second)), at: later(second)) }
    #expect(bypass.entries.map(\.state) == [.awaitingApproval])
    #expect(decide(bypass, at: later(203)) == .inspect)
  }

  @Test func `A client pushes out its own entries and nobody else's`() {
    let bypass = bypass { $0.refusalCount = 2; $0.clientEntryCountMax = 8; $0.entryCountMax = 64 }
    for second: Int64 in [0, 2] { _ = bypass.noticed(unknownCA, on: facts(client: 2, openedAt: later(second)), at: later(second)) }
    _ = bypass.noticed(unknownCA, on: facts(client: 3, openedAt: later(3)), at: later(3))
    for number in 0..<200 {
      let name = "name\(number).example"
      for second: Int64 in [4, 6] {
        _ = bypass.noticed(unknownCA, on: facts(sni: name, openedAt: later(second)), at: later(second))
      }
      _ = bypass.noticed(unknownCA, on: facts(sni: "x" + name, openedAt: later(6)), at: later(6))
    }
    #expect(decide(bypass, client: 2, at: later(7)) == .tunnel)
    #expect(bypass.entries.count { $0.key.client == flow(client: 1).source && $0.state == .counting } == 8)
    #expect(bypass.entries.count { $0.key.client == flow(client: 1).source && $0.state != .counting } == 8)
    #expect(decide(bypass, sni: "name199.example", at: later(7)) == .tunnel)
    #expect(decide(bypass, sni: "name0.example", at: later(7)) == .inspect)
    // The candidate of the third client counts on.
    _ = bypass.noticed(unknownCA, on: facts(client: 3, openedAt: later(7)), at: later(7))
    #expect(decide(bypass, client: 3, at: later(8)) == .tunnel)
  }

  @Test func `Addresses of one IPv6 network count as one client`() {
    let bypass = bypass { $0.refusalCount = 1; $0.clientEntryCountMax = 4 }
    for low: UInt64 in 0..<40 {
      var one = facts()
      one.flow.source = IPAddress(high: 0x2001_0db8_0000_0001, low: low)
      _ = bypass.noticed(unknownCA, on: one, at: start)
    }
    #expect(bypass.entries.count == 4)
  }

  // MARK: Over a restart

  private func inFolder(_ body: (String) -> Void) {
    let folder = "/tmp/sluice-learned-\(hexadecimal(randomBytes(8) ?? []))"
    guard unsafe mkdir(folder, 0o700) == 0 else {
      Issue.record("no folder")
      return
    }
    let path = folder + "/bypasses"
    body(path)
    for file in [path, path + ".target", path + ".new"] { unsafe unlink(file) }
    #expect(unsafe rmdir(folder) == 0)
  }

  private func writeFile(_ path: String, _ text: String, mode: mode_t) {
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, mode)
    defer { close(file) }
    #expect(fchmod(file, mode) == 0)
    #expect(CertificateAuthority.writeAll(Array(text.utf8), to: file))
  }

  @Test func `What was learned outlives a restart, what counts or has run out does not`() {
    inFolder { path in
      let first = bypass { $0.refusalCount = 2 }
      for (client, name): (UInt8, String?) in [(1, "one.example"), (2, nil)] {
        for second: Int64 in [0, 2] {
          _ = first.noticed(unknownCA, on: facts(client: client, sni: name, openedAt: later(second)), at: later(second))
        }
      }
      _ = first.noticed(unknownCA, on: facts(client: 3, openedAt: later(3)), at: later(3))
      let file = LearnedBypassFile(path: path, entryCountMax: 100)
      #expect(file.read().entries.isEmpty && file.read().trouble == nil)
      #expect(file.write(first.kept) == nil)
      let contents = file.read()
      #expect(contents.badLines == 0 && contents.trouble == nil && contents.entries.count == 2)
      let second = bypass { $0.refusalCount = 2 }
      #expect(second.restore(contents.entries, at: later(10)) == 0)
      #expect(decide(second, client: 1, sni: "one.example", at: later(11)) == .tunnel)
      #expect(decide(second, client: 2, sni: nil, at: later(11)) == .tunnel)
      #expect(decide(second, client: 3, at: later(11)) == .inspect)
      #expect(second.entries.map(\.id).sorted() == first.entries.filter { $0.state != .counting }.map(\.id).sorted())
      let third = bypass()
      #expect(third.restore(contents.entries, at: later(100_000)) == 2)
      #expect(third.entries.isEmpty)
    }
  }

  @Test func `Lines that can't be entries are left out and counted, and no entry holds longer than a new one`() {
    inFolder { path in
      let good = "active\t1900000000\t1700000000\t3\t10.0.0.1\t01\tone.example\tclient refuses"
      let bad = [
        "nonsense", "active\t1900000000", good.replacing("active", with: "counting"), good.replacing("10.0.0.1", with: "10.0.0"),
        good.replacing("1900000000", with: "99999999999999999999"), good.replacing("1900000000", with: "-1"),
        good.replacing("\t01\t", with: "\t0\t"), good.replacing("\t01\t", with: "\t" + String(repeating: "00", count: 33) + "\t"),
        good.replacing("one.example", with: ""), good.replacing("one.example", with: "one\u{1b}.example"),
        good.replacing("refuses", with: String(repeating: "r", count: 2_000)), good + "\tmore",
      ]
      writeFile(path, ([good] + bad + [good.replacing("one", with: "two")]).joined(separator: "\n"), mode: 0o600)
      let contents = LearnedBypassFile(path: path, entryCountMax: 100).read()
      #expect(contents.entries.map(\.key.server) == ["one.example", "two.example"])
      #expect(contents.badLines == bad.count && contents.firstBadLine == 2)
      // No more lines than there can be entries.
      #expect(LearnedBypassFile(path: path, entryCountMax: 6).read().entries.map(\.key.server) == ["one.example"])
      let bypass = bypass()
      #expect(bypass.restore(contents.entries, at: start) == 0)
      #expect(decide(bypass, sni: "two.example", at: later(86_399)) == .tunnel)
      #expect(decide(bypass, sni: "two.example", at: later(86_401)) == .inspect)
    }
  }

  @Test func `A file that others could have written, that is none or too large is not believed`() {
    inFolder { path in
      let good = "active\t1900000000\t1700000000\t3\t10.0.0.1\t01\tone.example\tclient refuses\n"
      let file = LearnedBypassFile(path: path, entryCountMax: 2)
      writeFile(path, good, mode: 0o620)
      #expect(file.read().entries.isEmpty && file.read().trouble != nil)
      writeFile(path, String(repeating: good, count: 200), mode: 0o600)
      #expect(file.read().entries.isEmpty && file.read().trouble != nil)
      writeFile(path + ".target", good, mode: 0o600)
      unsafe unlink(path)
      #expect(unsafe symlink(path + ".target", path) == 0)
      #expect(file.read().entries.isEmpty && file.read().trouble != nil)
      // Writing puts a file in the link's place and leaves its target alone.
      #expect(file.write([]) == nil)
      #expect(file.read().trouble == nil)
      #expect(LearnedBypassFile(path: path + ".target", entryCountMax: 2).read().entries.count == 1)
      #expect(LearnedBypassFile(path: "/dev/null", entryCountMax: 2).read().trouble != nil)
      #expect(LearnedBypassFile(path: path + "/none/there", entryCountMax: 2).write([]) != nil)
    }
  }

  @Test func `Whatever a line holds, it is refused or reads the same when it is written again`() {
    let seeds = [
      "active\t1900000000\t1700000000\t3\t10.0.0.1\t01ff\tone.example\tclient refuses",
      "awaits-approval\t0\t1700000000\t1000000\t2001:db8::1\t\t192.0.2.1 443\t",
    ].map { Array($0.utf8) }
    var state: UInt64 = 11
    func random(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    var read = 0
    for round in 0..<20_000 {
      var line = seeds[round % 2]
      for _ in 0..<random(4) {
        switch random(4) {
        case 0: line[random(line.count)] = UInt8(random(256))
        case 1: line.remove(at: random(line.count))
        case 2: line.insert([9, 0x30, 0x39, 0x61, 0x3a][random(5)], at: random(line.count))
        default: line += seeds[random(2)].prefix(random(40))
        }
      }
      guard let entry = LearnedBypassFile.entry(line) else { continue }
      read += 1
      let again = LearnedBypassFile.line(entry)
      #expect(again.flatMap(LearnedBypassFile.entry) == entry, "\(String(decoding: line, as: UTF8.self))")
    }
    #expect(read > 5_000)
  }

  @Test func `A number's sign is no digit of a client's software`() {
    let fields = ["active", "1800000000", "1700000000", "3", "192.0.2.1", "0a1b", "a.test", "client refuses"]
    for (shape, isGood) in [("0a1b", true), ("", true), ("+a1b", false), ("0a-0", false), ("0a1", false), ("0g", false)] {
      var line = fields
      line[5] = shape
      #expect((LearnedBypassFile.entry(line.joined(separator: "\t").utf8) != nil) == isGood)
    }
  }
}
