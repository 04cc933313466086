import Detection
import RuleLanguage
import Synchronization
import Testing

@testable import Engine

@Suite struct RulePublicationTests {
  private func ruleSet(_ count: Int) -> RuleSet {
    var compiler = RuleCompiler(settings: RuleCompiler.Settings(), shared: SharedDetectionState())
    let text = (1...count).map { "alert tcp any any -> any any (content:\"x\($0)\"; sid:\($0);)\n" }.joined()
    for rule in RuleFile.parse(Array(text.utf8), fileName: "t.rules").rules { compiler.add(rule) }
    return compiler.finish().ruleSet
  }

  @Test func `a worker takes a set once, and the newest where it missed some`() {
    let publication = RulePublication(.empty)
    var seen: UInt64 = 0
    #expect(publication.next(after: &seen) != nil, "the first look brings what is in force")
    #expect(publication.next(after: &seen) == nil)
    publication.publish(ruleSet(1))
    publication.publish(ruleSet(2))
    #expect(publication.next(after: &seen)?.ruleCount == 2)
    #expect(publication.next(after: &seen) == nil)
    #expect(publication.ruleSet.ruleCount == 2)
  }

  @Test func `a set lives until the last worker has let go of it, and is not taken apart by that worker`() {
    weak var old: RuleSet?
    let publication = RulePublication(.empty)
    var held: RuleSet?
    do {
      let first = ruleSet(1)
      old = first
      publication.publish(first)
      var seen: UInt64 = 0
      held = publication.next(after: &seen)
    }
    publication.publish(.empty)
    publication.dropFormer()
    #expect(old != nil && held != nil)
    held = nil
    #expect(old != nil)
    publication.dropFormer()
    #expect(old == nil)
  }

  @Test func `a set that was in force from the start and is published when the workers run goes with the next`() {
    weak var old: RuleSet?
    let publication: RulePublication
    do {
      let first = ruleSet(1)
      old = first
      publication = RulePublication(first)
      publication.publish(first)
    }
    publication.publish(.empty)
    publication.dropFormer()
    #expect(old == nil)
  }

  @Test func `workers never see an older set after a newer one`() async {
    let publication = RulePublication(.empty)
    let sets = (1...8).map(ruleSet)
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<3 {
        group.addTask {
          var (seen, last) = (UInt64(0), 0)
          while last < 8 {
            guard let next = publication.next(after: &seen) else {
              await Task.yield()
              continue
            }
            if next.ruleCount < last { return false }
            last = next.ruleCount
          }
          return true
        }
      }
      for set in sets { publication.publish(set) }
      for await isOrdered in group { #expect(isOrdered) }
    }
  }
}
