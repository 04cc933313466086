import Detection
import Synchronization

/// The rule set in force, published to all workers.
///
/// A worker looks at the number at its batch boundary, which is one atomic load, and fetches the set
/// only when it has changed. The old set lives until the last worker has let go of it.
final class RulePublication: Sendable {
  private let number = Atomic<UInt64>(1)
  private let current: Mutex<RuleSet>

  init(_ ruleSet: RuleSet) { current = Mutex(ruleSet) }

  func publish(_ ruleSet: RuleSet) {
    current.withLock { $0 = ruleSet }
    number.add(1, ordering: .releasing)
  }

  var ruleSet: RuleSet { current.withLock { $0 } }

  /// - Parameter seen: the number that the caller knows; set to the one in force.
  /// - Returns: the set where it has changed since.
  func next(after seen: inout UInt64) -> RuleSet? {
    let latest = number.load(ordering: .acquiring)
    guard latest != seen else { return nil }
    seen = latest
    return ruleSet
  }
}
