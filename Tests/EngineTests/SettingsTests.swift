import AppLayer
import Diversion
import FlowTracking
import Glibc
import Inspection
import RuleLanguage
import Testing
import Traffic

@testable import Engine

/// Settings from the text of a file.
func settings(_ text: String, overrides: [String] = []) throws -> Settings {
  let file = try TemporaryFile(Array(text.utf8), named: "t.yaml")
  return try Settings.load(file: file.path, overrides: overrides, flowSeed: 7)
}

/// The message of what is thrown; nil when nothing is.
func refusal(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch let error as SettingsError {
    return error.message
  } catch {
    return "\(error)"
  }
}

@Suite struct SettingsTests {
  /// A key, a value other than the default, and where it has to arrive.
  struct Key: Sendable {
    var key: String
    var value: String
    var reading: @Sendable (Settings) -> String

    init(_ key: String, _ value: String, _ reading: @escaping @Sendable (Settings) -> String) {
      (self.key, self.value, self.reading) = (key, value, reading)
    }
  }

  @Test(arguments: [
    Key("capture.mode", "tap", { "\($0.capture.mode)" }), Key("capture.first-queue", "9", { "\($0.capture.firstQueue)" }),
    Key("capture.queues", "4", { "\($0.capture.queueCount)" }), Key("capture.fail-open", "false", { "\($0.capture.failsOpen)" }),
    Key("capture.queue-length", "1024", { "\($0.capture.queueLength)" }),
    Key("capture.pin-workers", "false", { "\($0.capture.pinsWorkers)" }),
    Key("interception.enabled", "false", { "\($0.interception.isEnabled)" }),
    Key("interception.listen-port", "9443", { "\($0.interception.listenPort)" }),
    Key("interception.workers", "3", { "\($0.interception.workerCount)" }),
    Key("interception.ca-certificate", "/a/ca.pem", { $0.interception.caCertificate }),
    Key("interception.ca-key", "/a/ca.key", { $0.interception.caKey }),
    Key("interception.extra-trust", "/a/root.pem", { $0.interception.extraTrust.joined() }),
    Key("interception.bad-certificate", "pass-defect", { $0.interception.badCertificate.rawValue }),
    Key("interception.intermediates", "/a/i.pem", { $0.interception.intermediates.joined() }),
    Key("interception.revocation-lists", "/a/r.crl", { $0.interception.revocationLists.joined() }),
    Key("interception.ocsp-staple", "strict", { $0.interception.staples.rawValue }),
    Key("interception.learning.client-entries", "7", { "\($0.interception.learning.clientEntryCountMax)" }),
    Key("interception.learning.client-certificates", "requested", { "\($0.interception.learning.learnsRequestedCertificates ? "requested" : "")" }),
    Key("interception.learning.file", "/a/learned/bypasses", { $0.interception.learningFile ?? "" }),
    Key("interception.authority-user", "sluice-ca", { $0.interception.authorityUser }),
    Key("interception.names-size", "4096", { "\($0.interception.namesBytesMax)" }),
    Key("interception.handshake-timeout", "5", { "\($0.interception.handshakeTimeoutSeconds)" }),
    Key("interception.hello-timeout", "3", { "\($0.interception.helloTimeoutSeconds)" }),
    Key("interception.idle-timeout", "33", { "\($0.interception.idleTimeoutSeconds)" }),
    Key("interception.connect-timeout", "4", { "\($0.interception.connectTimeoutSeconds)" }),
    Key("interception.drain-timeout", "0", { "\($0.interception.drainTimeoutSeconds)" }),
    Key("interception.block-page", "true", { "\($0.interception.showsBlockPage)" }),
    Key("control.socket", "/a/c.sock", { $0.control.socket }),
    Key("default-rule-path", "/a/rules", { $0.rules.directory ?? "" }), Key("rule-files", "x.rules", { $0.rules.files.joined() }),
    Key("classification-file", "/a/c", { $0.rules.classificationFile ?? "" }),
    Key("reference-config-file", "/a/r", { $0.rules.referenceFile ?? "" }),
    Key("threshold-file", "/a/t", { $0.rules.thresholdFile ?? "" }),
    Key("detect.rule-budget.action", "quarantine", { $0.inspection.ruleBudget.action.rawValue }),
    Key("detect.rule-budget.percent", "25", { "\(Int($0.inspection.ruleBudget.share * 100))" }),
    Key("detect.rule-budget.window", "60", { "\($0.inspection.ruleBudget.windowSeconds)" }),
    Key("detect.rule-budget.checks-min", "5000", { "\($0.inspection.ruleBudget.checksMin)" }),
    Key("detect.rule-budget.drops", "open", { $0.inspection.ruleBudget.holdsDrops ? "open" : "closed" }),
    Key("detect.rule-budget.hold", "600", { "\($0.inspection.ruleBudget.holdSeconds)" }),
    Key("detect.sgh-mpm-caching-path", "/a/cache", { $0.rules.cacheDirectory ?? "" }),
    Key("default-log-dir", "/a/log", { $0.outputs.directory }),
    Key("outputs.eve-log.filename", "e.json", { $0.outputs.fileName }),
    Key("outputs.eve-log.community-id", "true", { "\($0.outputs.eve.communityID != nil)" }),
    Key("stats.interval", "3", { "\($0.outputs.statsIntervalSeconds)" }),
    Key("flow.rate-tracking.bytes", "1024", { "\($0.inspection.elephantLimit?.bytes ?? 0)" }),
    Key("flow.count-max", "1000", { "\($0.inspection.flows.flowCountMax)" }),
    Key("flow-timeouts.tcp.new", "5", { "\($0.inspection.flows.tcpTimeouts.newSeconds)" }),
    Key("flow-timeouts.tcp.established", "6", { "\($0.inspection.flows.tcpTimeouts.establishedSeconds)" }),
    Key("flow-timeouts.udp.closed", "8", { "\($0.inspection.flows.udpTimeouts.closedSeconds)" }),
    Key("flow-timeouts.icmp.new", "9", { "\($0.inspection.flows.icmpTimeouts.newSeconds)" }),
    Key("flow-timeouts.default.bypassed", "11", { "\($0.inspection.flows.otherTimeouts.bypassedSeconds)" }),
    Key("vlan.use-for-tracking", "false", { "\($0.inspection.flows.usesVLAN)" }),
    Key("stream.midstream", "true", { "\($0.inspection.flows.tcp.midstream)" }),
    Key("stream.async-oneside", "true", { "\($0.inspection.flows.tcp.asyncOneside)" }),
    Key("stream.checksum-validation", "false", { "\($0.inspection.decoder.verifiesChecksums)" }),
    Key("stream.drop-invalid", "false", { "\($0.inspection.dropsInvalidSegments)" }),
    Key("stream.reassembly.depth", "1048576", { "\($0.inspection.reassembly.depthBytes)" }),
    Key("stream.memcap", "\(FlowTable.sessionBytes)", {
      "\($0.inspection.flows.sessionCountMax == 1 ? FlowTable.sessionBytes : 0)"
    }),
    Key("decoder.teredo.ports", "3545", { ($0.inspection.decoder.teredoPorts ?? []).map(String.init).joined() }),
    Key("decoder.vxlan.ports", "8472", { $0.inspection.decoder.vxlanPorts.map(String.init).joined() }),
    Key("decoder.geneve.enabled", "no", { $0.inspection.decoder.genevePorts.isEmpty ? "no" : "yes" }),
    Key("stream.reassembly.memcap", "2097152", { "\($0.inspection.reassembly.memcapBytes)" }),
    Key("app-layer.protocols.tls.enabled", "no", { $0.inspection.appLayer.enabled.contains(.tls) ? "yes" : "no" }),
    Key("app-layer.protocols.http.libhtp.default-config.personality", "iis51", {
      $0.inspection.appLayer.http.personality.rawValue
    }),
    Key("app-layer.protocols.http.libhtp.default-config.request-body-limit", "100", {
      "\($0.inspection.appLayer.http.requestBodyLimitBytes ?? 0)"
    }),
    Key("app-layer.protocols.http.libhtp.default-config.response-body-limit", "200", {
      "\($0.inspection.appLayer.http.responseBodyLimitBytes ?? 0)"
    }),
    Key("app-layer.protocols.http.libhtp.default-config.request-body-minimal-inspect-size", "1024", {
      "\($0.inspection.appLayer.http.requestPace.leastBytes)"
    }),
    Key("app-layer.protocols.http.libhtp.default-config.request-body-inspect-window", "300", {
      "\($0.inspection.appLayer.http.requestPace.stepBytes)"
    }),
    Key("app-layer.protocols.http.libhtp.default-config.response-body-minimal-inspect-size", "2048", {
      "\($0.inspection.appLayer.http.responsePace.leastBytes)"
    }),
    Key("app-layer.protocols.http.libhtp.default-config.response-body-inspect-window", "8192", {
      "\($0.inspection.appLayer.http.responsePace.stepBytes)"
    }),
    Key("app-layer.protocols.http.libhtp.default-config.response-body-decompress-layer-limit", "5", {
      "\($0.inspection.appLayer.http.responseBodyDecompressLayerLimit)"
    }),
    Key("app-layer.protocols.http.libhtp.default-config.double-decode-path", "true", {
      "\($0.inspection.appLayer.http.doubleDecodePath)"
    }),
    Key("app-layer.protocols.http.libhtp.default-config.double-decode-query", "true", {
      "\($0.inspection.appLayer.http.doubleDecodeQuery)"
    }),
    Key("app-layer.protocols.http.libhtp.default-config.meta-field-limit", "4096", {
      "\($0.inspection.appLayer.http.metaFieldLimitBytes)"
    }),
  ])
  func `a key reaches the setting it names, on the command line and in a file`(_ item: Key) throws {
    let (key, value, reading) = (item.key, item.value, item.reading)
    let unset = try Settings.load(file: nil, overrides: [], flowSeed: 7)
    #expect(reading(unset) != value, "the default must be another for this to say anything")
    let set = try Settings.load(file: nil, overrides: ["\(key)=\(value)"], flowSeed: 7)
    #expect(reading(set) == value)
    #expect(set.warnings == [])
    let parts = key.split(separator: ".")
    let text = parts.enumerated().map { index, part in
      String(repeating: "  ", count: index) + part + ":" + (index == parts.count - 1 ? " \(value)\n" : "\n")
    }.joined()
    #expect(try reading(settings(text)) == value)
  }

  @Test func `lists, variables and policies of a file are read`() throws {
    let all = try settings(
      """
      vars:
        address-groups: {HOME_NET: "[10.1.0.0/16]", MINE: "$HOME_NET"}
        port-groups: {WEB: "[80,8080]"}
      rule-files: [a.rules, b.rules]
      action-order: [alert, drop, reject, pass]
      interception: {ports: [443, 993], extra-trust: [/a, /b]}
      host-os-policy: {windows: "10.1.2.0/24", linux: [10.1.0.0/16]}
      capture: {inspect: none}
      """)
    #expect(all.variables.addressGroups["MINE"] == "$HOME_NET")
    #expect(all.variables.addressGroups["EXTERNAL_NET"] == "!$HOME_NET")
    #expect(all.variables.portGroups["WEB"] == "[80,8080]")
    #expect(all.rules.files == ["a.rules", "b.rules"])
    #expect(all.rules.actionOrder == [.alert, .drop, .reject, .pass])
    #expect(all.interception.ports == [443, 993])
    #expect(all.interception.extraTrust == ["/a", "/b"])
    #expect(all.inspection.hostPolicies.count == 2)
    #expect(!all.capture.inspects)
    #expect(all.warnings == [])
  }

  @Test(arguments: [
    ("capture: {mode: ruter}", "capture.mode"), ("capture: {inspect: some}", "capture.inspect"),
    ("capture: {queues: 0}", "capture.queues"), ("capture: {queues: 257}", "capture.queues"),
    ("capture: {first-queue: 65536}", "capture.first-queue"), ("capture: {fail-open: perhaps}", "capture.fail-open"),
    ("capture: {queues: [1, 2]}", "capture.queues"), ("interception: {ports: [0]}", "interception.ports"),
    ("interception: {ports: [https]}", "interception.ports"), ("interception: {ports: {a: 1}}", "interception.ports"),
    ("interception: {listen-port: 0}", "interception.listen-port"),
    ("interception: {bad-certificate: ignore}", "interception.bad-certificate"),
    ("interception: {drain-timeout: -1}", "interception.drain-timeout"),
    ("stats: {interval: 0}", "stats.interval"), ("stream: {reassembly: {depth: deep}}", "stream.reassembly.depth"),
    ("host-os-policy: {amiga: 10.0.0.1}", "amiga"), ("host-os-policy: {linux: 10.0.0.256}", "host-os-policy.linux"),
    ("vars: {address-groups: {HOME_NET: 10.0.0.0/33}}", "HOME_NET"),
    ("vars: {address-groups: {A: $B, B: $A}}", "variable"), ("vars: {port-groups: {P: 65536}}", "P"),
    ("action-order: [pass, pass]", "action-order"), ("action-order: [shout]", "action-order"),
    ("exception-policy: explode", "exception-policy"), ("flow: {memcap-policy: explode}", "flow.memcap-policy"),
    ("outputs: [{eve-log: {types: all}}]", "outputs.eve-log.types"), ("policy: inspect", "policy"),
    ("policy: [inspect]", "policy entry 1"), ("policy: [{sni: a}]", "policy entry 1"),
    ("policy: [{action: inspect}, {action: shout}]", "policy entry 2"),
    ("policy: [{action: block, servers: 10.0.0.0/40}]", "servers"),
    ("policy: [{action: block, servers: $NOBODY}]", "servers"),
    ("policy: [{action: block, ports: 70000}]", "ports"), ("policy: [{action: block, name: a}]", "name"),
    ("rule-files: {a: b}", "rule-files"), ("vars: {address-groups: 7}", "vars.address-groups"),
  ])
  func `what cannot be is refused with the file and the key`(text: String, key: String) throws {
    let message = try #require(refusal { _ = try settings(text) })
    #expect(message.contains("t.yaml"))
    #expect(message.contains(key))
    #expect(!message.contains("\n"))
  }

  @Test(arguments: [
    ("capture:\n  quues: 2\n", "t.yaml:2", "capture.queues"), ("control: {sockt: /a}", "t.yaml:1", "control.socket"),
    ("a: 1\ninterception:\n  enabled: yes\n  block-pages: yes\n", "t.yaml:4", "interception.block-page"),
  ])
  func `an unknown key of ours is refused with its line and the one that was meant`(
    text: String, place: String, meant: String
  ) throws {
    let message = try #require(refusal { _ = try settings(text) })
    #expect(message.contains(place))
    #expect(message.contains("did you mean \(meant)?"))
  }

  @Test func `keys of Suricata without a meaning are warned of, each once and with its line`() throws {
    let all = try settings(
      """
      %YAML 1.1
      ---
      suricata-version: "8.0"
      max-pending-packets: 1024
      af-packet:
        - interface: eth0
          threads: 2
        - interface: default
      outputs:
        - fast: {enabled: yes}
        - eve-log: {enabled: yes, filetype: regular}
      stream:
        memcap: 64mb
        unheard-of: 1
      """)
    #expect(
      all.warnings.map { $0.split(separator: " ")[1] } == [
        "outputs.fast", "suricata-version", "max-pending-packets", "af-packet", "stream.unheard-of",
      ])
    #expect(all.warnings.allSatisfy { $0.contains("t.yaml:") && !$0.contains("\n") })
    #expect(all.warnings.last?.contains("t.yaml:15:") == true || all.warnings.last?.contains("t.yaml:14:") == true)
  }

  @Test func `types that are switched off are not logged`() throws {
    let all = try settings(
      """
      outputs:
        - eve-log:
            types: [alert, {http: {extended: no}}, {dns: {enabled: no}}]
      """)
    #expect(all.outputs.eve.alert != nil && all.outputs.eve.http?.isExtended == false)
    #expect(all.outputs.eve.dns == nil && all.outputs.eve.tls == nil && !all.outputs.eve.logsStats)
    #expect(all.inspection.logs.transactions == [.http])
    let none = try settings("outputs: [{eve-log: {enabled: no}}]")
    #expect(none.outputs.eve.alert == nil && !none.outputs.eve.logsFlow && !none.inspection.logs.flows)
  }

  @Test func `live traffic is let through on faults where it fails open, and dropped where not`() throws {
    var open = try settings("capture: {fail-open: yes}")
    open.prepareForTraffic(isInline: true)
    #expect(open.inspection.exceptionPolicies.appLayerError == .ignore)
    #expect(open.inspection.exceptionPolicies.reassemblyMemcap == .dropPacket)
    var closed = try settings("capture: {fail-open: no}\nexception-policy: auto\n")
    closed.prepareForTraffic(isInline: true)
    #expect(closed.inspection.exceptionPolicies.appLayerError == .dropFlow)
    #expect(closed.inspection.exceptionPolicies.midstream == .ignore)
    #expect(closed.inspection.isInline && closed.inspection.reassembly.delivery == .inline)
    var master = try settings("exception-policy: pass-packet\nflow: {memcap-policy: bypass}\n")
    master.prepareForTraffic(isInline: true)
    #expect(master.inspection.exceptionPolicies.flowMemcap == .bypass)
    #expect(master.inspection.exceptionPolicies.reassemblyMemcap == .passPacket)
  }

  @Test func `diversion is set up for the queues and the listener of the settings`() throws {
    let plan = try #require(
      try settings(
        "capture: {first-queue: 5, queues: 3, fail-open: no}\ninterception: {listen-port: 7000}\n"
      ).diversionPlan())
    #expect(plan.queues == 5...7)
    #expect(plan.listenPort == 7000 && !plan.failOpen)
    #expect(plan.interceptPorts == [])
  }

  @Test func `a file that is not there, a folder, and no text are told of`() throws {
    for path in ["/nowhere/t.yaml", "/tmp"] {
      let message = try #require(refusal { _ = try Settings.load(file: path, flowSeed: 1) })
      #expect(message.hasPrefix(path))
    }
    #expect(refusal { _ = try settings("", overrides: ["=x"]) }?.contains("KEY=VALUE") == true)
    #expect(refusal { _ = try settings("", overrides: ["capture"]) }?.contains("KEY=VALUE") == true)
    #expect(refusal { _ = try settings("a: 1\na: 2\n") } != nil)
  }
}
