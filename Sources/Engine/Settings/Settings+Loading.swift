import AppLayer
import FlowTracking
import Inspection
import PacketDecoding
import RuleLanguage
import StreamReassembly
import Traffic

extension Settings {
  /// Reads a configuration file and what the command line sets over it.
  ///
  /// - Parameters:
  ///   - file: nil for the defaults.
  ///   - overrides: `key=value` with dotted keys.
  ///   - flowSeed: makes flow identifiers; fixed for captures, random for the daemon.
  /// - Throws: one line that says which file and key, and what it should be.
  public static func load(
    file: String?, overrides: [String] = [], flowSeed: UInt64
  ) throws(SettingsError) -> Settings {
    var text: String?
    if let file {
      guard let bytes = TextFile.read(file) else {
        throw SettingsError("\(file): cannot be read: \(TextFile.lastError())")
      }
      text = String(decoding: bytes, as: UTF8.self)
    }
    return try read(text, name: file, overrides: overrides, flowSeed: flowSeed)
  }

  /// Reads the text of a configuration file; as ``load(file:overrides:flowSeed:)``.
  ///
  /// - Parameter name: what messages call it.
  public static func read(
    _ text: String?, name file: String?, overrides: [String] = [], flowSeed: UInt64
  ) throws(SettingsError) -> Settings {
    var root = ConfigurationValue.map([])
    if let text { root = try ConfigurationValue.parse(text, file: file ?? "settings") }
    for override in overrides {
      guard let equals = override.firstIndex(of: "="), equals != override.startIndex else {
        throw SettingsError("--set takes KEY=VALUE, not \(override)")
      }
      root.set(override[..<equals].split(separator: "."), String(override[override.index(after: equals)...]))
    }
    var reader = SettingsReader(root: root, file: file ?? "settings")
    var settings = Settings(flowSeed: flowSeed)
    try settings.read(&reader)
    try settings.noteUnknown(reader)
    return settings
  }

  private mutating func read(_ reader: inout SettingsReader) throws(SettingsError) {
    try readVariables(&reader)
    try readRules(&reader)
    try readFlow(&reader)
    try readStream(&reader)
    try readHostPolicies(&reader)
    try readAppLayer(&reader)
    try readExceptionPolicies(&reader)
    try readOutputs(&reader)
    try readDatasets(&reader)
    try readCapture(&reader)
    try readInterception(&reader)
    try readPolicy(&reader)
    if let socket = try reader.text("control.socket") { control.socket = socket }
    if let confines = try reader.flag("control.confine") { control.isConfined = confines }
    if let listen = try reader.text("control.metrics"), listen != "no" { control.metrics = listen }
  }

  /// Keys of Suricata in a section that bears the name of one of ours.
  private static let theirs: Set<String> = ["capture.disable-offloading", "capture.checksum-validation"]
  private static let ours = ["capture", "interception", "policy", "control"]

  /// Suricata's keys without a meaning here are warned of, ours must be right.
  private mutating func noteUnknown(_ reader: SettingsReader) throws(SettingsError) {
    for (path, place) in reader.unknownPaths() {
      if !Self.theirs.contains(path), Self.ours.contains(where: { path == $0 || path.hasPrefix($0 + ".") }) {
        let hint = Self.nearest(path, among: reader.known).map { " (did you mean \($0)?)" } ?? ""
        throw SettingsError("\(place): there is no setting \(path)\(hint)")
      }
      warnings.append("\(place): \(path) has no meaning here and is ignored")
    }
  }

  private static func nearest(_ path: String, among known: Set<String>) -> String? {
    let near = known.map { ($0, distance(Array(path.utf8), Array($0.utf8))) }.min { $0.1 < $1.1 }
    return near.flatMap { $0.1 <= 4 ? $0.0 : nil }
  }

  /// Levenshtein distance.
  private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var row = Array(0...right.count)
    for (i, a) in left.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, b) in right.enumerated() {
        let cost = min(row[j + 1] + 1, row[j] + 1, diagonal + (a == b ? 0 : 1))
        diagonal = row[j + 1]
        row[j + 1] = cost
      }
    }
    return row[right.count]
  }

  // MARK: Rules

  private mutating func readVariables(_ reader: inout SettingsReader) throws(SettingsError) {
    variables = RuleVariables(
      addressGroups: Self.defaultAddressGroups, portGroups: Self.defaultPortGroups)
    for (name, value) in try reader.map("vars.address-groups") ?? [] {
      variables.addressGroups[name] = value
    }
    for (name, value) in try reader.map("vars.port-groups") ?? [] { variables.portGroups[name] = value }
    if let wrong = variables.check().first {
      throw SettingsError("\(reader.file): variable \(wrong.name): \(wrong.error.message)")
    }
  }

  private mutating func readRules(_ reader: inout SettingsReader) throws(SettingsError) {
    rules.files = try reader.texts("rule-files") ?? []
    rules.directory = try reader.text("default-rule-path")
    rules.classificationFile = try reader.text("classification-file")
    rules.referenceFile = try reader.text("reference-config-file")
    rules.thresholdFile = try reader.text("threshold-file")
    rules.reputationCategoriesFile = try reader.text("reputation-categories-file")
    rules.reputationDirectory = try reader.text("default-reputation-path")
    rules.reputationFiles = try reader.texts("reputation-files") ?? []
    rules.cacheDirectory = try reader.text("detect.sgh-mpm-caching-path")
    if let names = try reader.texts("action-order") {
      var order: [RuleAction] = []
      for name in names {
        guard let action = RuleAction(rawValue: name), !order.contains(action) else {
          throw SettingsError("\(reader.file): action-order: \(name) is no action, or stands twice")
        }
        order.append(action)
      }
      rules.actionOrder = order
    }
  }

  // MARK: Flow and stream

  /// The UDP ports of a tunnel (`decoder.teredo.ports`, …), nil where they are not set.
  ///
  /// - Source: Suricata "Decoder"; `any` is Teredo's alone.
  private func decoderPorts(
    _ reader: inout SettingsReader, _ name: String
  ) throws(SettingsError) -> [UInt16]? {
    let path = "decoder.\(name)."
    if try reader.flag(path + "enabled") == false { return [] }
    guard let text = try reader.text(path + "ports"), text != "any" else { return nil }
    let bytes = Array(text.utf8)
    let ports: PortSet
    do throws(RuleValueError) {
      ports = try variables.resolve(try PortExpression(bytes))
    } catch {
      throw SettingsError("\(reader.file): \(path)ports: \(error.message)")
    }
    let count = ports.ranges.reduce(0) { $0 + Int($1.high) - Int($1.low) + 1 }
    guard count <= Self.tunnelPortsMax else {
      throw SettingsError("\(reader.file): \(path)ports: more than \(Self.tunnelPortsMax) ports")
    }
    return ports.ranges.flatMap { Array($0.low...$0.high) }
  }

  /// Ports of a tunnel, because each is compared with those of every UDP packet (Suricata has 4).
  private static let tunnelPortsMax = 16

  private mutating func readFlow(_ reader: inout SettingsReader) throws(SettingsError) {
    reader.note("flow")
    if let uses = try reader.flag("vlan.use-for-tracking") { inspection.flows.usesVLAN = uses }
    if let uses = try reader.flag("decoder.recursion-level.use-for-tracking") {
      inspection.flows.usesTunnelDepth = uses
    }
    if try reader.text("decoder.teredo.ports") == "any" {
      inspection.decoder.teredoPorts = nil
    } else if let ports = try decoderPorts(&reader, "teredo") {
      inspection.decoder.teredoPorts = ports
    }
    inspection.decoder.vxlanPorts = try decoderPorts(&reader, "vxlan") ?? inspection.decoder.vxlanPorts
    inspection.decoder.genevePorts = try decoderPorts(&reader, "geneve") ?? inspection.decoder.genevePorts
    if let count = try reader.number("flow.count-max", in: 1...64_000_000) {
      inspection.flows.flowCountMax = count
    }
    if let bytes = try reader.size("flow.rate-tracking.bytes"), bytes > 0 {
      let seconds = try reader.number("flow.rate-tracking.interval", in: 1...FlowRateLimit.secondsMax) ?? 10
      inspection.elephantLimit = FlowRateLimit(bytes: UInt64(bytes), seconds: seconds)
    }
    inspection.flows.tcpTimeouts = try timeouts(&reader, "tcp", inspection.flows.tcpTimeouts)
    inspection.flows.udpTimeouts = try timeouts(&reader, "udp", inspection.flows.udpTimeouts)
    inspection.flows.icmpTimeouts = try timeouts(&reader, "icmp", inspection.flows.icmpTimeouts)
    inspection.flows.otherTimeouts = try timeouts(&reader, "default", inspection.flows.otherTimeouts)
  }

  private func timeouts(
    _ reader: inout SettingsReader, _ name: String, _ defaults: FlowTimeouts
  ) throws(SettingsError) -> FlowTimeouts {
    var result = defaults
    let path = "flow-timeouts.\(name)."
    if let seconds = try reader.number(path + "new") { result.newSeconds = Int32(seconds) }
    if let seconds = try reader.number(path + "established") { result.establishedSeconds = Int32(seconds) }
    if let seconds = try reader.number(path + "closed") { result.closedSeconds = Int32(seconds) }
    if let seconds = try reader.number(path + "bypassed") { result.bypassedSeconds = Int32(seconds) }
    for other in ["emergency-new", "emergency-established", "emergency-closed", "emergency-bypassed"] {
      reader.note(path + other)
    }
    return result
  }

  private mutating func readStream(_ reader: inout SettingsReader) throws(SettingsError) {
    if let verifies = try reader.flag("stream.checksum-validation") {
      inspection.flows.tcp.checksumValidation = verifies
      inspection.decoder.verifiesChecksums = verifies
    }
    switch try reader.text("pcap-file.checksum-checks") {
    case "no"?: inspection.decoder.verifiesChecksums = false
    case "yes"?: inspection.decoder.verifiesChecksums = true
    default: break
    }
    if let guesses = try reader.flag("detect.guess-applayer-tx") { inspection.guessesTransaction = guesses }
    if let count = try reader.number("packet-alert-max", in: 1...65_535) {
      inspection.alertsPerPacketMax = count
    }
    try readRuleBudget(&reader)
    if let midstream = try reader.flag("stream.midstream") { inspection.flows.tcp.midstream = midstream }
    if let oneside = try reader.flag("stream.async-oneside") {
      inspection.flows.tcp.asyncOneside = oneside
    }
    if let text = try reader.text("stream.inline"), let inline = SettingsReader.flag(text) {
      inspection.inspectsOnArrival = inline
    }
    if let drops = try reader.flag("stream.drop-invalid") { inspection.dropsInvalidSegments = drops }
    if let depth = try reader.size("stream.reassembly.depth") {
      inspection.reassembly.depthBytes = UInt64(depth)
    }
    if let size = try reader.size("stream.reassembly.toserver-chunk-size") {
      inspection.chunkBytes.toServer = size
    }
    if let size = try reader.size("stream.reassembly.toclient-chunk-size") {
      inspection.chunkBytes.toClient = size
    }
    if let joins = try reader.flag("stream.reassembly.across-pieces") { inspection.joinsPieces = joins }
    if let memcap = try reader.size("stream.reassembly.memcap"), memcap > 0 {
      inspection.reassembly.memcapBytes = memcap
    }
    if let memcap = try reader.size("stream.memcap"), memcap > 0 {
      inspection.flows.sessionCountMax = memcap / FlowTable.sessionBytes
    }
    if let policy = try urgentPolicy(&reader, "stream.reassembly.urgent.policy") {
      inspection.reassembly.urgentPolicy = policy
    }
    if let policy = try urgentPolicy(&reader, "stream.reassembly.urgent.oob-limit-policy") {
      inspection.reassembly.urgentLimitPolicy = policy
    }
    if let reports = try reader.flag("stream.reassembly.check-overlap-different-data") {
      inspection.reassembly.reportsDifferentData = reports
    }
    for name in [
      "prealloc-sessions", "bypass", "reassembly.randomize-chunk-size",
      "reassembly.randomize-chunk-range", "reassembly.raw", "reassembly.segment-prealloc",
    ] { reader.note("stream." + name) }
    try readDefrag(&reader)
  }

  /// - Source: Suricata `defrag`; tables here grow with what is in them.
  private mutating func readDefrag(_ reader: inout SettingsReader) throws(SettingsError) {
    if let size = try reader.size("defrag.memcap"), size > 0 { inspection.defragmentation.memcapBytes = size }
    if let count = try reader.number("defrag.trackers", in: 1...16_000_000) {
      inspection.defragmentation.datagramCountMax = count
    }
    if let seconds = try reader.number("defrag.timeout", in: 1...86_400) {
      inspection.defragmentation.timeoutSeconds = Int64(seconds)
    }
    for name in ["hash-size", "max-frags", "prealloc"] { reader.note("defrag." + name) }
  }

  private func urgentPolicy(
    _ reader: inout SettingsReader, _ path: String
  ) throws(SettingsError) -> UrgentPolicy? {
    guard let name = try reader.text(path) else { return nil }
    guard let policy = UrgentPolicy(rawValue: name) else {
      throw SettingsError("\(reader.file): \(path) must be oob, inline, drop or gap, not \(name)")
    }
    return policy
  }

  private mutating func readHostPolicies(_ reader: inout SettingsReader) throws(SettingsError) {
    for (name, addresses) in try reader.map("host-os-policy") ?? [] {
      guard let stream = OverlapPolicy(settingName: name) else {
        throw SettingsError("\(reader.file): host-os-policy: there is no policy \(name)")
      }
      guard addresses != "[]", !addresses.isEmpty else { continue }
      do throws(RuleValueError) {
        let set = try variables.resolve(try AddressExpression(addresses))
        inspection.hostPolicies.append(
          HostPolicy(addresses: set, stream: stream, fragments: FragmentPolicy(hostOS: name) ?? .bsd))
      } catch {
        throw SettingsError("\(reader.file): host-os-policy.\(name): \(error.message)")
      }
    }
    // The narrowest fits first, as the tree of addresses that the policies form would have it.
    inspection.hostPolicies.sort { $0.addresses.size < $1.addresses.size }
  }

  private mutating func readExceptionPolicies(_ reader: inout SettingsReader) throws(SettingsError) {
    for path in ["exception-policy"] + Self.exceptionPolicyPaths.map(\.path) {
      guard let name = try reader.text(path), name != "auto" else { continue }
      exceptionPolicies[path] = try Self.policy(name, path, reader.file)
    }
  }

  private static func policy(
    _ name: String, _ path: String, _ file: String
  ) throws(SettingsError) -> ExceptionPolicy {
    guard let policy = ExceptionPolicy(rawValue: name) else {
      let names = ExceptionPolicy.allCases.map(\.rawValue).joined(separator: ", ")
      throw SettingsError("\(file): \(path) must be auto or one of \(names), not \(name)")
    }
    return policy
  }
}

extension AddressSet {
  /// How many addresses it holds, roughly.
  fileprivate var size: Double {
    if isAny { return .infinity }
    return ranges.reduce(0) { sum, range in
      sum + Double(range.high.high &- range.low.high) * 0x1p64
        + Double(range.high.low) - Double(range.low.low) + 1
    }
  }
}
