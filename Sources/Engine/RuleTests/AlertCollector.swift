import Inspection
import Traffic

/// Remembers which rules fired.
final class AlertCollector: EventSink {
  private(set) var sids: Set<UInt32> = []

  func emit(_ event: Event, _ context: borrowing EventContext, bytes: RawSpan) {
    if case .alert(let alert) = event { sids.insert(alert.rule.sid) }
  }
}
