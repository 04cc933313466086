import AppLayer
import Detection
import EventOutput
import Inspection
import Traffic

/// What the whole path makes of the capture: every stage by itself has to come to the same.
struct Expectation {
  var flows: UInt64 = 0
  var deliveredOctets: UInt64 = 0
  var transactions: [AppProtocol: Int] = [:]
  var alerts: UInt64 = 0
  let detection: DetectionCounters

  init(_ input: Input, _ setup: Setup) throws(StageError) {
    let sink = CountingSink(EVEWriter(settings: setup.settings.outputs.eve, output: NoOutput()))
    var settings = setup.settings.inspection
    // Also those that the settings write nothing about are counted.
    settings.logs.transactions = Set(AppProtocol.allCases)
    var path = PacketPath(settings: settings, ruleSet: setup.ruleSet, shared: setup.makeShared(), sink: sink)
    path.expiryLimit = .max
    for packet in input.packets {
      let verdict = path.process(
        input.octets.rawSpan.extracting(packet.range), link: packet.link, time: packet.time, length: packet.length)
      if verdict.isStopped { throw StageError("packet \(path.counters.packets) is stopped, and with it what follows") }
    }
    if path.counters.fragments > 0 || path.counters.tunnelled > 0 {
      throw StageError("the capture holds fragments or tunnels, which only the whole path takes apart")
    }
    path.finish()
    flows = path.flowCount
    deliveredOctets = path.reassemblyCounters.deliveredBytes
    alerts = path.alertCount
    detection = path.detectionCounters
    transactions = sink.transactions
  }
}

/// Writes records as the daemon does, and counts the transactions among them.
final class CountingSink: EventSink {
  private let writer: EVEWriter
  private(set) var transactions: [AppProtocol: Int] = [:]

  init(_ writer: EVEWriter) { self.writer = writer }

  func emit(_ event: Event, _ context: borrowing EventContext, bytes: RawSpan) {
    if case .transaction(let transaction, _) = event { transactions[transaction.appProtocol, default: 0] += 1 }
    writer.emit(event, context, bytes: bytes)
  }
}

/// Takes lines and keeps none.
final class NoOutput: LineOutput {
  func write(_ lines: RawSpan) {}
}
