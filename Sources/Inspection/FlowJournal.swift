import FlowTracking
import Traffic

/// What was decided about one flow, in order, for `sluice ctl explain`.
public struct FlowJournal: Sendable {
  public struct Entry: Sendable {
    public var time: Timestamp
    public var text: String
  }

  /// Entries kept of one flow; the first ones count most, so later ones are only counted.
  static let entryCountMax = 32

  public private(set) var entries: [Entry] = []
  /// Entries that were not kept.
  public private(set) var lostCount: UInt64 = 0

  mutating func note(_ text: @autoclosure () -> String, at time: Timestamp) {
    guard entries.count < Self.entryCountMax else {
      lostCount &+= 1
      return
    }
    entries.append(Entry(time: time, text: text()))
  }
}

/// A flow with what was decided about it.
public struct ExplainedFlow: Sendable {
  public var record: FlowRecord
  public var journal: FlowJournal
  /// It is over, or goes on elsewhere.
  public var isPast: Bool
}

/// The last flows that are over and of which there is something to explain.
struct PastFlows {
  private static let countMax = 512
  private var flows: [ExplainedFlow] = []
  private var next = 0

  mutating func add(_ record: FlowRecord, _ journal: FlowJournal) {
    guard !journal.entries.isEmpty else { return }
    let flow = ExplainedFlow(record: record, journal: journal, isPast: true)
    if flows.count < Self.countMax {
      flows.append(flow)
    } else {
      flows[next] = flow
      next = (next + 1) % Self.countMax
    }
  }

  func flows(where fits: (FlowRecord) -> Bool) -> [ExplainedFlow] { flows.filter { fits($0.record) } }
}

extension PacketPath {
  /// The flows there are now.
  public mutating func flowRecords(where fits: (FlowRecord) -> Bool, countMax: Int) -> [FlowRecord] {
    var found: [FlowRecord] = []
    for index in flows.liveIndices {
      let inspection = inspections.indices.contains(index.index) ? inspections[index.index] : nil
      let record = record(flows[index], index, inspection)
      guard fits(record) else { continue }
      found.append(record)
      if found.count >= countMax { break }
    }
    return found
  }

  /// Flows of now and of late, with what was decided about them.
  public mutating func explain(where fits: (FlowRecord) -> Bool, countMax: Int) -> [ExplainedFlow] {
    var found: [ExplainedFlow] = []
    for index in flows.liveIndices {
      let inspection = inspections.indices.contains(index.index) ? inspections[index.index] : nil
      let record = record(flows[index], index, inspection)
      guard fits(record) else { continue }
      found.append(ExplainedFlow(record: record, journal: inspection?.journal ?? FlowJournal(), isPast: false))
      if found.count >= countMax { return found }
    }
    return found + pastFlows.flows(where: fits).suffix(countMax - found.count)
  }

  /// Wants the release of the flows that fit; returns how many there are.
  public mutating func wantRelease(where fits: (FlowRecord) -> Bool) -> Int {
    var count = 0
    for index in flows.liveIndices where flows[index].state != .bypassed {
      let inspection = inspections.indices.contains(index.index) ? inspections[index.index] : nil
      guard let inspection, fits(record(flows[index], index, inspection)) else { continue }
      inspection.isReleaseWanted = .operator
      count += 1
    }
    return count
  }

  /// Calls back the released flows that fit; returns their 5-tuples.
  public mutating func recall(where fits: (FlowRecord) -> Bool) -> [FlowTuple] {
    var tuples: [FlowTuple] = []
    for index in flows.liveIndices where flows[index].state == .bypassed {
      let inspection = inspections.indices.contains(index.index) ? inspections[index.index] : nil
      guard fits(record(flows[index], index, inspection)) else { continue }
      tuples.append(flows[index].tuple)
      _ = recall(index)
    }
    return tuples
  }
}
