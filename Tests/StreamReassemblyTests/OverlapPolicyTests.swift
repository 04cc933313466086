import PacketDecoding
import StreamReassembly
import TestSupport
import Testing
import Traffic

/// The six ways in which a new segment can lie over an old one, and who wins by each policy.
///
/// Old is at 10…19. Columns: starts before and ends inside; starts before, ends alike or beyond;
/// same start, ends before; same place; same start, ends beyond; starts inside, ends inside or
/// alike; starts inside, ends beyond.
private let table: [(OverlapPolicy, String)] = [
  // b<  b>=  s<  s=  s>  i<=  i>
  (.first, "ooo oooo"),
  (.last, "nnn nnnn"),
  (.bsd, "nno oooo"),
  (.bsdRight, "oon nnnn"),
  (.linux, "nno onoo"),
  (.oldLinux, "nno nnoo"),
  (.solaris, "ono nnon"),
  (.oldSolaris, "ooo oooo"),
  (.hpux10, "nno oooo"),
  (.hpux11, "ono nnon"),
  (.irix, "nno oooo"),
  (.macos, "nno oooo"),
  (.windows, "nno oooo"),
  (.windows2k3, "nno oooo"),
  (.vista, "ooo oooo"),
]

private let newRanges: [Range<Int64>] = [5..<15, 5..<20, 10..<15, 10..<20, 10..<25, 15..<20, 15..<25]

@Test func eachPolicyDecidesEachKindOfOverlap() {
  #expect(table.count == OverlapPolicy.allCases.count)
  for (policy, row) in table {
    let wanted = row.filter { $0 != " " }
    let found = newRanges.map { policy.newWins($0, over: 10..<20) ? "n" : "o" }.joined()
    #expect(found == wanted, "\(policy)")
  }
}

@Test func reassemblyFollowsThePolicyOctetByOctet() {
  for (policy, row) in table {
    for (range, winner) in zip(newRanges, row.filter { $0 != " " }) {
      let scene = StreamScene(.acknowledged)
      scene.handshake()
      // 0…4 fills up; the old segment has o, the new one n, and what neither has, a dot.
      scene.add(at: 1011, String(repeating: "o", count: 10), policy: policy)
      let result = scene.add(
        at: 1001 + UInt32(range.lowerBound), String(repeating: "n", count: range.count), policy: policy)
      #expect(result.isConflicting)
      // Where nothing can be stopped it is told when asked for.
      #expect(!result.events.contains(.reassemblyOverlapDifferentData))
      scene.add(at: 1001, String(repeating: ".", count: Int(min(10, range.lowerBound))), policy: policy)
      scene.acknowledge(1031)
      let end = max(20, range.upperBound)
      let wanted = (0..<end).map { position -> Character in
        let isOld = (10..<20).contains(position)
        let isNew = range.contains(position)
        if isOld, isNew { return winner }
        return isOld ? "o" : isNew ? "n" : "."
      }
      #expect(scene.text == String(wanted), "\(policy) \(range)")
    }
  }
}

/// Segments of the kind that "Target-Based TCP Stream Reassembly" probes hosts with: several old
/// ones under one new one, each pair decided for itself.
@Test func aNewSegmentOverSeveralOldOnesIsDecidedForEach() {
  for (policy, wanted) in [
    // old A 0…3, B 6…9, C 12…15; new N 2…13
    (OverlapPolicy.first, "AAAANNBBBBNNCCCC"),
    (.last, "AANNNNNNNNNNNNCC"),
    // N begins after A, before B and C.
    (.bsd, "AAAANNNNNNNNNNCC"),
    // N reaches beyond A and covers B, but does not cover C.
    (.solaris, "AANNNNNNNNNNCCCC"),
    (.windows, "AAAANNNNNNNNNNCC"),
    (.vista, "AAAANNBBBBNNCCCC"),
  ] {
    let scene = StreamScene(.acknowledged)
    scene.handshake()
    scene.add(at: 1001, "AAAA", policy: policy)
    scene.add(at: 1007, "BBBB", policy: policy)
    scene.add(at: 1013, "CCCC", policy: policy)
    scene.add(at: 1003, "NNNNNNNNNNNN", policy: policy)
    scene.acknowledge(1017)
    #expect(scene.text == wanted, "\(policy)")
  }
}

@Test func whatIsAcknowledgedStands() {
  let scene = StreamScene(.acknowledged)
  scene.handshake()
  scene.add(at: 1001, "first", policy: .last)
  scene.acknowledge(1004)
  scene.add(at: 1001, "OTHER", policy: .last)
  scene.acknowledge(1006)
  #expect(scene.text == "firER")
}

@Test func equalDataIsNoConflict() {
  let scene = StreamScene(.acknowledged)
  scene.handshake()
  scene.add(at: 1001, "hello")
  let result = scene.add(at: 1003, "llo world")
  #expect(!result.isConflicting && result.events.isEmpty)
  #expect(scene.reassembler.counters.overlaps == 1)
}

@Test func policiesAreFoundByTheirNames() {
  for policy in OverlapPolicy.allCases {
    #expect(OverlapPolicy(settingName: policy.settingName) == policy)
  }
  #expect(OverlapPolicy(settingName: "Windows2K3") == .windows2k3)
  #expect(OverlapPolicy(settingName: "amiga") == nil)
}
