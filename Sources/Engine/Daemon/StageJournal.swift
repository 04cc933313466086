import Inspection
import Interception
import Synchronization
import Traffic

/// The last steps of the TLS stage, for `sluice ctl explain`.
final class StageJournal: Sendable {
  private struct Entry {
    var time: Timestamp
    var tuple: FlowTuple
    var text: String
  }
  private struct Ring {
    var entries: [Entry] = []
    var next = 0
  }

  private static let countMax = 4096
  private let ring = Mutex(Ring())

  func note(_ event: InterceptionEvent, _ connection: borrowing RelayConnectionFacts, at time: Timestamp) {
    let name = connection.sni.map { " \($0)" } ?? ""
    let text =
      switch event {
      case .decided(let decision): "TLS\(name): \(decision.action), because \(decision.reason)"
      default:
        if let record = InterceptionRecord(event, connection) {
          "TLS\(name): \(record.step): \(record.reason)"
        } else {
          "TLS\(name): ended"
        }
      }
    let entry = Entry(time: time, tuple: connection.flow, text: text)
    ring.withLock { ring in
      if ring.entries.count < Self.countMax {
        ring.entries.append(entry)
      } else {
        ring.entries[ring.next] = entry
        ring.next = (ring.next + 1) % Self.countMax
      }
    }
  }

  /// Oldest first.
  func lines(where fits: (FlowRecord) -> Bool) -> [String] {
    let entries = ring.withLock { ring in Array(ring.entries[ring.next...]) + ring.entries[..<ring.next] }
    return entries.compactMap { entry in
      let record = FlowRecord(id: 0, tuple: entry.tuple, start: entry.time, last: entry.time)
      guard fits(record) else { return nil }
      return "  \(entry.tuple.source):\(entry.tuple.sourcePort) -> \(entry.tuple.destination):"
        + "\(entry.tuple.destinationPort) \(entry.text)"
    }
  }
}
