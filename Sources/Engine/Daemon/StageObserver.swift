import AppLayer
import Detection
import EventOutput
import Inspection
import Interception
import RuleLanguage
import Synchronization
import Traffic

/// Alerts of one worker, for others to read.
final class AlertCount: Sendable {
  let value = Atomic<UInt64>(0)
}

/// One worker's link between the TLS stage and the shared path.
final class StageObserver: InterceptionObserver {
  private let settings: Settings
  private let publication: RulePublication
  private let writer: EVEWriter
  let path: RelayPath
  private var seen: UInt64 = 0
  private var linesFlushed: UInt64 = 0
  private let alerts: AlertCount
  private let costs: StageCosts
  private var costsAsked: UInt64 = 0
  /// Where what is decrypted is written; nil for nowhere.
  let decrypted: DecryptedOutput?
  private let journal: StageJournal

  init(
    _ settings: Settings, _ publication: RulePublication, _ shared: SharedDetectionState,
    _ records: RecordQueue, _ alerts: AlertCount, _ costs: StageCosts, _ decrypted: DecryptedOutput?, _ journal: StageJournal
  ) {
    self.alerts = alerts
    self.costs = costs
    self.decrypted = decrypted
    self.journal = journal
    self.settings = settings
    self.publication = publication
    writer = EVEWriter(
      settings: settings.outputs.eve, output: QueuedLineOutput(records), files: records.fileOutput)
    var inspection = settings.inspection
    inspection.appLayer.http2.keepsBlocks = settings.interception.http2Drop == .stream
    path = RelayPath(
      settings: inspection, ruleSet: publication.ruleSet, shared: shared, sink: writer)
  }

  func makeInspector() -> any RelayInspector { RelayAdapter(self) }

  /// Whether opened connections are recorded.
  var logsTLS: Bool { settings.outputs.eve.tls != nil }

  var showsBlockPage: Bool { settings.interception.showsBlockPage }

  /// Takes a new rule set where there is one; called at the boundary of every chunk.
  func takeNewRules() {
    costs.answer(&costsAsked) { path.ruleCosts }
    guard let ruleSet = publication.next(after: &seen) else { return }
    path.replace(ruleSet: ruleSet)
    costs.renew { path.ruleCosts }
    writer.forgetRules()
  }

  func awoken() { takeNewRules() }

  /// Hands on the records written since.
  func flush() {
    guard writer.lineCount != linesFlushed else { return }
    linesFlushed = writer.lineCount
    alerts.value.store(path.alertCount, ordering: .relaxed)
    writer.flush()
  }

  func refusalPage(for defect: UpstreamDefect, on connection: borrowing RelayConnectionFacts) -> [UInt8]? {
    guard showsBlockPage else { return nil }
    return BlockPage.response(
      "The server \(connection.sni ?? "") was not connected to: its certificate is bad (\(defect.kind.rawValue): \(defect.text)).")
  }

  func occurred(
    _ event: InterceptionEvent, on connection: borrowing RelayConnectionFacts, at time: Timestamp
  ) {
    journal.note(event, connection, at: time)
    guard let record = InterceptionRecord(event, connection) else { return }
    path.record(record, connection.flow, at: time)
    flush()
  }
}

/// One relayed connection between the TLS stage and the shared path.
final class RelayAdapter: RelayInspector {
  private let observer: StageObserver
  private var flow: RelayFlow?
  private var written: DecryptedConnection?

  init(_ observer: StageObserver) { self.observer = observer }

  func opened(_ connection: borrowing RelayConnectionFacts) {
    observer.takeNewRules()
    let decryption = DecryptionFacts(connection)
    flow = observer.path.open(connection.flow, decryption: decryption, at: connection.openedAt)
    if observer.logsTLS, decryption != nil {
      let tls = TLSTransaction(
        opened: connection.clientHello, version: connection.upstreamTLSVersion,
        certificates: connection.upstreamCertificates, isResumed: connection.upstreamResumed,
        start: connection.openedAt)
      flow?.tell(tls, CertificateFacts.legs(connection, tls))
      observer.flush()
    }
    if let decrypted = observer.decrypted, let decryption {
      written = decrypted.connection(
        connection.flow, "\(decryption.version), SNI \(decryption.sni ?? "none")")
    }
  }

  func inspect(_ chunk: borrowing StreamChunk) -> RelayVerdict {
    observer.takeNewRules()
    defer { observer.flush() }
    if let blocks = written?.blocks(chunk) { observer.decrypted?.put(blocks) }
    guard let flow else { return .forward }
    switch flow.inspect(chunk) {
    case .forward: return .forward
    case .rewrite(let forward, let back, let rule):
      return .rewrite(forward: forward, back: back, reason: rule.map { "sid \($0.sid): \($0.message)" })
    case .cut(let rule, let reason):
      let text = rule.map { "sid \($0.sid): \($0.message)" } ?? reason.rawValue
      if observer.showsBlockPage, chunk.direction == .toServer, let page = BlockPage.response(rule, flow) {
        return .block(response: page, reason: text)
      }
      return .cut(reason: text)
    }
  }

  var mayTurnToTLS: Bool { flow?.mayTurnToTLS ?? true }

  func closed(_ summary: RelaySummary) {
    let reason =
      switch summary.end {
      case .stopped: "shutdown"
      case .idleTimeout: "timeout"
      case .finished, .reset, .failed, .cut, .blocked: "unknown"
      }
    flow?.close(at: summary.time, reason: reason)
    if let blocks = written?.end(at: summary.time) { observer.decrypted?.put(blocks) }
    observer.flush()
  }
}

extension DecryptionFacts {
  /// nil for bytes as they are.
  fileprivate init?(_ connection: borrowing RelayConnectionFacts) {
    guard connection.form == .decrypted else { return nil }
    let version =
      switch connection.tlsVersion {
      case 0x0304: "TLS 1.3"
      case 0x0303: "TLS 1.2"
      case 0x0302: "TLSv1.1"
      case 0x0301: "TLSv1"
      case let number: "0x" + String(number, radix: 16)
      }
    self.init(
      sni: connection.sni, alpn: connection.alpn, version: version,
      decision: connection.decision.map { String(describing: $0.action) } ?? "inspect",
      decisionReason: connection.decision?.reason ?? "")
  }
}

/// What a client is told instead of what was blocked.
enum BlockPage {
  /// - Returns: nil where the connection cannot be answered.
  static func response(_ rule: RuleInfo?, _ flow: RelayFlow) -> [UInt8]? {
    let body = Array(html(rule).utf8)
    guard flow.isHTTP else { return flow.http2Refusal(page: body) }
    return response(body)
  }

  /// - Parameter text: may hold what others sent.
  static func response(_ text: String) -> [UInt8] {
    response(Array("<!doctype html><title>Blocked</title><h1>Blocked</h1>\n<p>\(escaped(text))</p>\n".utf8))
  }

  private static func escaped(_ text: String) -> String {
    text.map { character in
      switch character {
      case "<": "&lt;"
      case ">": "&gt;"
      case "&": "&amp;"
      case "\"": "&quot;"
      default: String(character)
      }
    }.joined()
  }

  private static func response(_ body: [UInt8]) -> [UInt8] {
    Array(
      """
      HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: \(body.count)\r\n\
      Cache-Control: no-store\r\nConnection: close\r\n\r\n
      """.utf8) + body
  }

  private static func html(_ rule: RuleInfo?) -> String {
    let sid = rule.map { "sid \($0.sid)" } ?? "policy"
    return """
      <!doctype html><title>Blocked</title><h1>Blocked</h1>
      <p>This request was blocked by the network's intrusion prevention (\(sid)).</p>

      """
  }
}
