import Capture
import Detection
import EventOutput
import Inspection
import RuleLanguage
import Traffic

/// What another rule set would tell and stop on the same traffic.
///
/// Both sets see each capture as an IDS does, so that a drop hides nothing that comes after it: what an
/// alert of a drop or reject rule says is "would be dropped".
public struct RuleSetDifference: Sendable {
  /// Alerts of one rule.
  public struct Line: Sendable {
    public enum Kind: String, Sendable, CaseIterable { case new, lost, changed }
    public var kind: Kind
    public var gid: UInt32
    public var sid: UInt32
    public var message: String
    public var count: Int
    /// What is different; empty but for `changed`.
    public var what: String
    /// Where the first of them was: capture and packet.
    public var first: String
  }

  /// One rule set and what it did.
  public struct Side: Sendable {
    public var path: String
    public var rulesLoaded = 0
    public var rulesRefused = 0
    public var alerts = 0
    public var wouldBeDrops = 0
    /// Rules tried after the prefilter.
    public var candidates: UInt64 = 0
    public var patternBytes = 0
    public var loadSeconds = 0.0
    public var runSeconds = 0.0
  }

  public private(set) var before: Side
  public private(set) var after: Side
  public private(set) var lines: [Line] = []
  public private(set) var packets: UInt64 = 0
  public private(set) var warnings: [String] = []

  /// No alert is new, lost or changed.
  public var isSame: Bool { lines.isEmpty }

  /// - Throws: where rules or captures cannot be read.
  public init(
    settings: Settings, before: String, after: String, captures: [String]
  ) throws(SettingsError) {
    var settings = settings
    settings.rules.files = []
    settings.prepareForCaptures(isInline: false)
    settings.inspection.logs.anomalies = false
    settings.inspection.logs.drops = false
    settings.inspection.logs.flows = false
    settings.inspection.logs.transactions = []
    self.before = Side(path: before)
    self.after = Side(path: after)
    let old = try Self.run(settings, captures, &self.before, &packets, &warnings)
    var packetsAgain: UInt64 = 0
    let new = try Self.run(settings, captures, &self.after, &packetsAgain, &warnings)
    compare(old, new)
  }

  // MARK: Running

  private static func run(
    _ settings: Settings, _ captures: [String], _ side: inout Side, _ packets: inout UInt64,
    _ warnings: inout [String]
  ) throws(SettingsError) -> [AlertPlace: AlertWords] {
    let shared = SharedDetectionState()
    let started = MonotonicClock.seconds()
    let rules = try RuleLoader.load(settings, paths: [side.path], shared: shared)
    side.loadSeconds = MonotonicClock.seconds() - started
    side.rulesLoaded = rules.loaded
    side.rulesRefused = rules.total - rules.loaded
    side.patternBytes = rules.ruleSet.patternBytes
    for diagnostic in rules.diagnostics where diagnostic.severity == .error { warnings.append(diagnostic.description) }
    var alerts: [AlertPlace: AlertWords] = [:]
    for capture in captures {
      let collector = AlertPlaces(capture)
      var path = PacketPath(
        settings: settings.inspection, ruleSet: rules.ruleSet,
        shared: SharedDetectionState(names: shared.names), sink: collector)
      do throws(CaptureError) {
        var source = try PcapFileSource(path: capture)
        while try source.next({ packet in
          _ = path.process(packet.bytes, link: packet.linkType, time: packet.time, length: packet.originalLength)
          packets &+= 1
        }) {}
      } catch {
        throw SettingsError(error.description)
      }
      path.finish()
      side.candidates &+= path.detectionCounters.candidates
      alerts.merge(collector.alerts) { first, _ in first }
    }
    side.runSeconds = MonotonicClock.seconds() - started - side.loadSeconds
    side.alerts = alerts.count
    side.wouldBeDrops = alerts.values.count { $0.stops }
    return alerts
  }

  // MARK: Comparing

  private struct Group: Hashable {
    var kind: Line.Kind
    var gid: UInt32
    var sid: UInt32
    var what: String
  }

  private mutating func compare(_ old: [AlertPlace: AlertWords], _ new: [AlertPlace: AlertWords]) {
    var found: [Group: (message: String, places: [AlertPlace])] = [:]
    func note(_ kind: Line.Kind, _ place: AlertPlace, _ words: AlertWords, _ what: String = "") {
      let group = Group(kind: kind, gid: place.gid, sid: place.sid, what: what)
      found[group, default: (words.message, [])].places.append(place)
    }
    for (place, words) in new {
      guard let known = old[place] else {
        note(.new, place, words)
        continue
      }
      if known != words { note(.changed, place, words, known.difference(to: words)) }
    }
    for (place, words) in old where new[place] == nil { note(.lost, place, words) }
    lines = found.map { group, value in
      let first = value.places.min { ($0.capture, $0.packet) < ($1.capture, $1.packet) }
      return Line(
        kind: group.kind, gid: group.gid, sid: group.sid, message: value.message, count: value.places.count,
        what: group.what, first: first.map { "\($0.capture) packet \($0.packet)" } ?? "")
    }.sorted { ($0.kind.rawValue, $0.gid, $0.sid, $0.what) < ($1.kind.rawValue, $1.gid, $1.sid, $1.what) }
  }
}

/// Where an alert was; the same in both runs if it is the same alert.
private struct AlertPlace: Hashable {
  var capture: String
  var packet: UInt64
  var gid: UInt32
  var sid: UInt32
  var tuple: FlowTuple?
  var direction: Direction
  var transactionID: UInt64?
}

/// What an alert says.
private struct AlertWords: Equatable {
  var action: RuleAction
  var message: String
  var priority: UInt8
  var className: String?

  var stops: Bool {
    switch action {
    case .drop, .reject, .rejectsrc, .rejectdst, .rejectboth: true
    case .alert, .pass, .config: false
    }
  }

  func difference(to other: AlertWords) -> String {
    var parts: [String] = []
    if action != other.action { parts.append("action \(action.rawValue) → \(other.action.rawValue)") }
    if priority != other.priority { parts.append("priority \(priority) → \(other.priority)") }
    if className != other.className { parts.append("class \(className ?? "none") → \(other.className ?? "none")") }
    if message != other.message { parts.append("msg “\(message)” → “\(other.message)”") }
    return parts.joined(separator: ", ")
  }
}

/// Remembers all alerts of one capture.
private final class AlertPlaces: EventSink {
  private let capture: String
  var alerts: [AlertPlace: AlertWords] = [:]

  init(_ capture: String) { self.capture = capture }

  func emit(_ event: Event, _ context: borrowing EventContext, bytes: RawSpan) {
    guard case .alert(let event) = event else { return }
    let place = AlertPlace(
      capture: capture, packet: context.packetNumber, gid: event.rule.gid, sid: event.rule.sid,
      tuple: context.flow?.tuple, direction: event.alert.direction, transactionID: event.alert.transactionID)
    alerts[place] = AlertWords(
      action: event.alert.action, message: event.rule.message, priority: event.rule.priority,
      className: event.rule.className)
  }
}

// MARK: Showing

extension RuleSetDifference {
  public var text: String {
    var out = "\(packets) packets\n"
    let rows: [(String, String, String)] = [
      ("", before.path, after.path),
      ("rules loaded", "\(before.rulesLoaded)", "\(after.rulesLoaded)"),
      ("rules refused", "\(before.rulesRefused)", "\(after.rulesRefused)"),
      ("alerts", "\(before.alerts)", "\(after.alerts)"),
      ("would-be drops", "\(before.wouldBeDrops)", "\(after.wouldBeDrops)"),
      ("rules tried", "\(before.candidates)", "\(after.candidates)"),
      ("pattern bytes", "\(before.patternBytes)", "\(after.patternBytes)"),
      ("load seconds", Self.rounded(before.loadSeconds), Self.rounded(after.loadSeconds)),
      ("run seconds", Self.rounded(before.runSeconds), Self.rounded(after.runSeconds)),
    ]
    let width = max(12, min(40, rows.map { max($0.1.utf8.count, $0.2.utf8.count) }.max() ?? 12))
    for row in rows {
      out += Self.left(row.0, 16) + Self.right(row.1, width) + "  " + Self.right(row.2, width) + "\n"
    }
    if isSame { return out + "no alert is new, lost or changed\n" }
    for line in lines {
      out += "\(Self.left(line.kind.rawValue, 8))\(Self.right("\(line.count)", 6))  \(line.gid):\(line.sid)  \(line.message)"
      if !line.what.isEmpty { out += "  (\(line.what))" }
      out += "  first in \(line.first)\n"
    }
    return out
  }

  private static func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.utf8.count))
  }

  private static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.utf8.count)) + text
  }

  private static func rounded(_ seconds: Double) -> String { "\((seconds * 1000).rounded() / 1000)" }

  public var json: String {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("packets", packets)
    for (key, side) in [("before" as StaticString, before), ("after", after)] {
      writer.beginObject(key)
      writer.member("path", text: side.path)
      writer.member("rules_loaded", side.rulesLoaded)
      writer.member("rules_refused", side.rulesRefused)
      writer.member("alerts", side.alerts)
      writer.member("would_be_drops", side.wouldBeDrops)
      writer.member("rules_tried", side.candidates)
      writer.member("pattern_bytes", side.patternBytes)
      writer.member("load_milliseconds", Int(side.loadSeconds * 1000))
      writer.member("run_milliseconds", Int(side.runSeconds * 1000))
      writer.endObject()
    }
    for kind in Line.Kind.allCases {
      writer.beginArray(kind == .new ? "new" : kind == .lost ? "lost" : "changed")
      for line in lines where line.kind == kind {
        writer.beginObject()
        writer.member("gid", line.gid)
        writer.member("sid", line.sid)
        writer.member("msg", text: line.message)
        writer.member("count", line.count)
        if !line.what.isEmpty { writer.member("what", text: line.what) }
        writer.member("first", text: line.first)
        writer.endObject()
      }
      writer.endArray()
    }
    writer.endObject()
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}
