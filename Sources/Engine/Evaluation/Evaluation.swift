import Capture
import Detection
import EventOutput
import Glibc
import Inspection
import Traffic

/// What an evaluation of captures came to.
public struct EvaluationSummary: Sendable {
  public var loadSeconds = 0.0
  public var runSeconds = 0.0
  public var packets: UInt64 = 0
  public var bytes: UInt64 = 0
  public var flows: UInt64 = 0
  public var alerts: UInt64 = 0
  public var drops: UInt64 = 0
  public var warnings: [String] = []

  public init() {}

  mutating func add(_ other: EvaluationSummary) {
    packets &+= other.packets
    bytes &+= other.bytes
    flows &+= other.flows
    alerts &+= other.alerts
    drops &+= other.drops
    warnings += other.warnings
  }

  mutating func take(_ traffic: TrafficStatistics, packets count: UInt64, warnings more: [String]) {
    packets = count
    bytes = traffic.bytes
    flows = traffic.flows
    alerts = traffic.alerts
    drops = traffic.blocked
    warnings += more
  }

  /// Octets of memory that this process ever had resident.
  public static var peakResidentBytes: UInt64 {
    var usage = rusage()
    guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    return UInt64(clamping: usage.ru_maxrss) &* 1024
  }
}

/// Evaluates captures: the packet path over files, with records to one EVE file.
///
/// Each capture named is traffic of its own; the files of a directory are one traffic in order.
public struct Evaluation: Sendable {
  let settings: Settings
  let ruleSet: RuleSet
  /// The names that the rule set was compiled with; what is remembered of hosts is each capture's own.
  let names: VariableNames
  /// Where files go that are to be stored; nil where they are not.
  let files: FileDirectory?

  public init(
    settings: Settings, ruleSet: RuleSet, names: VariableNames, files: FileDirectory? = nil
  ) {
    self.files = files
    self.settings = settings
    self.ruleSet = ruleSet
    self.names = names
  }

  /// Evaluates one capture and appends its records to `output`.
  ///
  /// - Parameter progress: is told octets read and octets in all, now and then.
  /// - Throws: where the capture cannot be read at all; a damaged end is a warning.
  public func run(
    _ capture: String, output: any LineOutput, progress: (UInt64, UInt64?) -> Void = { _, _ in }
  ) throws(CaptureError) -> EvaluationSummary {
    var source = try PcapFileSource(path: capture)
    let writer = EVEWriter(settings: settings.outputs.eve, output: output, files: files)
    var path = PacketPath(
      settings: settings.inspection, ruleSet: ruleSet, shared: SharedDetectionState(names: names),
      sink: writer)
    // Nobody waits for a packet here, and the same must come of it however packets are spread over workers.
    path.expiryLimit = .max
    var summary = EvaluationSummary()
    var traffic = TrafficStatistics()
    var span = CaptureSpan()
    var count: UInt64 = 0
    let tracer = settings.inspection.tracer
    while true {
      let more: Bool
      do throws(CaptureError) {
        more = try source.next { packet in
          tracer?.begin(packet: count &+ 1)
          let verdict = path.process(
            packet.bytes, link: packet.linkType, time: packet.time, length: packet.originalLength)
          traffic.note(verdict)
          span.note(packet.time)
        }
      } catch {
        // What cannot be read at all is an error; of a damaged file all before the damage counts.
        guard count > 0 else { throw error }
        summary.warnings.append(error.description)
        continue
      }
      guard more else { break }
      count &+= 1
      if count & 0xfff == 0 { progress(source.bytesRead, source.bytesTotal) }
    }
    path.finish()
    traffic.read(&path)
    Self.writeStatistics(traffic, span, writer)
    summary.take(traffic, packets: count, warnings: source.warnings.map(\.description))
    return summary
  }
  /// Timed by the capture, so that the same capture gives the same records.
  static func writeStatistics(_ traffic: TrafficStatistics, _ span: CaptureSpan, _ writer: EVEWriter) {
    writer.writeStats(traffic.counters, uptimeSeconds: span.seconds, at: span.end)
    writer.flush()
  }
}
