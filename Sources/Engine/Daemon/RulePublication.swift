import CSluiceLinux
import Detection
import Synchronization

/// The rule set in force, published to all workers.
///
/// A worker looks at the number at its batch boundary, which is one atomic load, and fetches the set
/// only when it has changed. The old set lives until the last worker has let go of it, and is taken apart by
/// ``dropFormer()``: with tens of thousands of rules that takes as long as hundreds of packets, which must not wait for it.
final class RulePublication: Sendable {
  private let number = Atomic<UInt64>(1)
  private struct Sets {
    var current: RuleSet
    /// Those that some worker may still have.
    var former: [RuleSet] = []
  }

  private let sets: Mutex<Sets>

  init(_ ruleSet: RuleSet) { sets = Mutex(Sets(current: ruleSet)) }

  func publish(_ ruleSet: RuleSet) {
    sets.withLock { sets in
      // What is loaded before the workers start is published once more when they run: counted twice, it would never be
      // known for nobody's.
      guard sets.current !== ruleSet else { return }
      sets.former.append(sets.current)
      sets.current = ruleSet
    }
    number.add(1, ordering: .releasing)
  }

  var ruleSet: RuleSet { sets.withLock { $0.current } }

  /// Takes apart the sets that no worker has any more; for threads that packets do not wait for.
  func dropFormer() {
    var dropped = sets.withLock { sets in
      var (kept, dropped): ([RuleSet], [RuleSet]) = ([], [])
      while var former = sets.former.popLast() {
        if isKnownUniquelyReferenced(&former) { dropped.append(former) } else { kept.append(former) }
      }
      sets.former = kept
      return dropped
    }
    guard !dropped.isEmpty else { return }
    // Here, without the lock.
    dropped = []
    Self.giveBackMemory()
  }

  /// What compiling has taken lies between what stays, where the C library keeps it.
  static func giveBackMemory() { _ = malloc_trim(0) }

  /// - Parameter seen: the number that the caller knows; set to the one in force.
  /// - Returns: the set where it has changed since.
  func next(after seen: inout UInt64) -> RuleSet? {
    let latest = number.load(ordering: .acquiring)
    guard latest != seen else { return nil }
    seen = latest
    return ruleSet
  }
}
