import PacketDecoding
import RuleLanguage
import Traffic

@testable import AppLayer
@testable import Detection

/// A detector with rules, and one flow through it.
final class Bench {
  let shared: SharedDetectionState
  let result: RuleCompiler.Result
  private let rulesText: String
  var detector: Detector
  var state = FlowDetection()
  var flow = FlowFacts()
  var packet = DecodedPacket()
  private(set) var lastDecision = DetectionDecision()
  private(set) var lastAlerts: [Alert] = []

  init(
    _ rules: String, thresholds: String = "", shared: SharedDetectionState = SharedDetectionState(),
    isPrefilterOff: Bool = false, isInline: Bool = false, scansPacketsWithStreams: Bool = false,
    compiled: RuleCompiler.Result? = nil
  ) {
    self.shared = shared
    rulesText = rules
    result = compiled
      ?? Bench.compile(
        rules, thresholds: thresholds, scansPacketsWithStreams: scansPacketsWithStreams, shared: shared)
    detector = Detector(ruleSet: result.ruleSet, shared: shared)
    detector.isPrefilterOff = isPrefilterOff
    detector.isInline = isInline
    packet.time = Timestamp(seconds: 1000)
    packet.ipVersion = 4
    packet.ipProtocol = IPProtocol.tcp
    packet.hasTransport = true
    packet.source = IPAddress(ipv4: 0xc0a8_0001)  // 192.168.0.1
    packet.destination = IPAddress(ipv4: 0x0102_0304)  // 1.2.3.4
    packet.sourcePort = 40_000
    packet.destinationPort = 80
    flow.isEstablished = true
    flow.start = Timestamp(seconds: 990)
  }

  static func compile(
    _ rules: String, thresholds: String = "", scansPacketsWithStreams: Bool = false,
    shared: SharedDetectionState = SharedDetectionState()
  ) -> RuleCompiler.Result {
    var settings = RuleCompiler.Settings()
    settings.scansPacketsWithStreams = scansPacketsWithStreams
    settings.variables = .home
    settings.thresholds = ThresholdFile.parse(Array(thresholds.utf8), fileName: "threshold.config")
    let file = RuleFile.parse(rules)
    var compiler = RuleCompiler(settings: settings, shared: shared)
    for rule in file.rules { compiler.add(rule) }
    var result = compiler.finish()
    result.diagnostics = file.diagnostics + result.diagnostics
    return result
  }

  /// Octets that literals were looked for in, beyond the prefilter.
  var searchedBytes: UInt64 { detector.scratch.searchedBytes }

  func meter(_ change: (inout RuleMeter) -> Void) { change(&detector.meter) }
  var costs: RuleCostSnapshot { detector.ruleCosts }
  func takeExcesses() -> [RuleExcessRecord] { detector.takeExcesses() }
  /// The same rules, compiled anew.
  func replaceRules() { detector.replace(ruleSet: Bench.compile(rulesText, shared: shared).ruleSet) }

  /// Why rules were refused.
  var refusals: [String] { result.diagnostics.filter { $0.severity == .error }.map(\.message) }

  private func sids(_ matches: inout MatchList) -> [UInt32] {
    lastAlerts = []
    lastDecision = detector.decide(
      &matches, packet: packet, flow: flow, state: state, into: &lastAlerts)
    return lastAlerts.compactMap { result.ruleSet.info($0.rule)?.sid }
  }

  /// Sends a packet with this payload; the alerts' sids.
  func packet(
    _ payload: String = "", direction: Direction = .toServer, isInStream: Bool = false,
    hasFlow: Bool = true, after seconds: Int64 = 0
  ) -> [UInt32] {
    let bytes = Array(payload.utf8)
    turn(direction)
    packet.time.nanoseconds += seconds * 1_000_000_000
    packet.payloadOffset = 0
    packet.payloadLength = Int32(bytes.count)
    var matches = MatchList()
    detector.inspectPacket(
      packet, bytes: bytes.rawSpan, flow: hasFlow ? flow : nil, state: hasFlow ? state : nil,
      payloadIsInStream: isInStream, into: &matches)
    return sids(&matches)
  }

  /// Whole packets with headers of their own.
  func raw(_ packet: DecodedPacket, _ bytes: [UInt8], streamEvents: StreamEventSet = StreamEventSet()) -> [UInt32] {
    self.packet = packet
    var matches = MatchList()
    detector.inspectPacket(
      packet, bytes: bytes.rawSpan, flow: flow, state: state, payloadIsInStream: false,
      streamEvents: streamEvents, into: &matches)
    return sids(&matches)
  }

  /// The stream grows; the window holds the last `keeping` octets of what was there before.
  private var windows: [Direction: (bytes: [UInt8], offset: UInt64)] = [:]

  func stream(
    _ text: String, direction: Direction = .toServer, keeping: Int = 4096, isEnd: Bool = false
  ) -> [UInt32] {
    turn(direction)
    let (window, newFrom) = grow(direction, by: text, keeping: keeping)
    var matches = MatchList()
    detector.inspectStream(
      window.bytes.rawSpan, newFrom: newFrom, offset: window.offset, isEnd: isEnd,
      direction: direction, packet: packet, flow: flow, state: state, into: &matches)
    return sids(&matches)
  }

  private func grow(
    _ direction: Direction, by text: String, keeping: Int
  ) -> (window: (bytes: [UInt8], offset: UInt64), newFrom: Int) {
    var window = windows[direction] ?? ([], 0)
    let drop = max(0, window.bytes.count - keeping)
    window.bytes.removeFirst(drop)
    window.offset += UInt64(drop)
    let newFrom = window.bytes.count
    window.bytes += Array(text.utf8)
    windows[direction] = window
    return (window, newFrom)
  }

  /// Sends a packet that brings the next piece of the stream, and perhaps what waited for it.
  func packetOfStream(
    _ text: String, waiting: String = "", direction: Direction = .toServer, keeping: Int = 4096
  ) -> [UInt32] {
    turn(direction)
    let (window, newFrom) = grow(direction, by: text + waiting, keeping: keeping)
    let bytes = Array(text.utf8)
    packet.payloadOffset = 0
    packet.payloadLength = Int32(bytes.count)
    let piece = StreamPiece(window: window.bytes.rawSpan, newFrom: newFrom, offset: window.offset, isEnd: false)
    var matches = MatchList()
    detector.inspect(
      packet, bytes: bytes.rawSpan, stream: piece, flow: flow, state: state, payloadIsInStream: true,
      streamEvents: StreamEventSet(), into: &matches)
    return sids(&matches)
  }

  /// Sends a piece of the stream that is let through ahead of a hole.
  func aside(_ text: String, direction: Direction = .toServer) -> [UInt32] {
    turn(direction)
    var matches = MatchList()
    detector.inspectStream(
      Array(text.utf8).rawSpan, newFrom: 0, offset: windows[direction]?.offset ?? 0, isEnd: false, isAside: true,
      direction: direction, packet: packet, flow: flow, state: state, into: &matches)
    return sids(&matches)
  }

  func transaction(_ transaction: Transaction, _ direction: Direction = .toServer, payload: String = "") -> [UInt32] {
    turn(direction)
    flow.appProtocol = transaction.appProtocol
    let bytes = Array(payload.utf8)
    var matches = MatchList()
    detector.inspectTransactions(
      [transaction], direction: direction, payload: bytes.rawSpan, packet: packet,
      bytes: bytes.rawSpan, flow: flow, state: state, into: &matches)
    return sids(&matches)
  }

  private func turn(_ direction: Direction) {
    if direction != flow.packetDirection {
      let other = packet
      packet.source = other.destination
      packet.destination = other.source
      packet.sourcePort = other.destinationPort
      packet.destinationPort = other.sourcePort
      flow.packetDirection = direction
    }
  }
}

/// A transaction whose buffers a test fills.
final class StubTransaction: Transaction {
  private struct Key: Hashable {
    var id: BufferID
    var direction: Direction
  }
  private var buffers: [Key: [BufferView]] = [:]
  var numbers: [NumberID: [UInt64]] = [:]
  var sole: Direction?

  init(_ appProtocol: AppProtocol = .http, complete: Int = 5) {
    super.init(id: 0, appProtocol: appProtocol, progressComplete: complete, start: Timestamp(seconds: 1000))
  }

  override var soleDirection: Direction? { sole }

  func set(_ id: BufferID, _ texts: String..., direction: Direction = .toServer, isComplete: Bool = true) {
    buffers[Key(id: id, direction: direction)] = texts.map {
      BufferView(Array($0.utf8), isComplete: isComplete)
    }
  }

  /// A streaming buffer grows; only the last `keeping` octets stay.
  func append(
    _ id: BufferID, _ text: String, direction: Direction = .toServer, keeping: Int = .max,
    isComplete: Bool = false
  ) {
    let key = Key(id: id, direction: direction)
    let known = buffers[key]?.first
    var bytes = known.map { Array($0.storage[$0.range]) } ?? []
    var offset = known?.offset ?? 0
    let drop = max(0, bytes.count - keeping)
    bytes.removeFirst(drop)
    offset += UInt64(drop)
    bytes += Array(text.utf8)
    buffers[key] = [BufferView(bytes, offset: offset, newCount: text.utf8.count, isComplete: isComplete)]
  }

  func reach(_ progress: Int, _ direction: Direction = .toServer) {
    if direction == .toServer { self.progress.toServer = progress } else { self.progress.toClient = progress }
  }

  func addEvent(_ name: String) { events.append(AppEvent(appProtocol, name)) }

  override func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    let list = buffers[Key(id: id, direction: direction)] ?? []
    return index < list.count ? list[index] : nil
  }

  override func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    let list = numbers[id] ?? []
    return index < list.count ? list[index] : nil
  }
}
