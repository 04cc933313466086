import CSluiceLinux
import Diversion
import Glibc

/// Sluice itself on the gateway: set up, started and looked into as an operator would.
struct LabGateway {
  private static let settings = "sluice.yaml"
  static let authority = "ca.pem"
  private static let events = "eve.json"
  /// Compiling the rules is what takes time at the first start.
  private static let startSecondsMax = 120

  /// The program under test: this one.
  let program: String
  let network: LabNetwork
  let workshop: LabWorkshop

  /// Writes its settings and makes its certificate authority.
  /// - Parameter rules: the folder of the rules that come with Sluice.
  func prepare(rules: String) throws(LabError) {
    try workshop.write(configuration(rules: rules), to: Self.settings)
    try sluice("ca", "init")
  }

  /// Sets up diversion and starts the daemon; returns when its queue is bound and its listener is there.
  func start() throws(LabError) -> ChildProcess {
    try sluice("setup", "up")
    let command = Command(program, ["run", "--config", workshop.path(Self.settings)])
    let child = try workshop.start(LabNetwork.inside(network.gateway, command), log: "sluice.log")
    var ended: Int32?
    let isReady = try workshop.wait(seconds: Self.startSecondsMax) { () throws(LabError) in
      ended = child.poll()
      if ended != nil { return true }
      return try isListening()
    }
    guard isReady, ended == nil else {
      if ended == nil { child.end() }
      let said = workshop.read("sluice.log").split(separator: "\n").suffix(5).joined(separator: "\n  ")
      let end = ended.map { "ended with status \($0)" } ?? "was not ready after \(Self.startSecondsMax) s"
      throw .environment("the gateway \(end); it said:\n  \(said)")
    }
    return child
  }

  /// Takes diversion away, so that its end is seen too.
  func stop() throws(LabError) { try sluice("setup", "down") }

  private func isListening() throws(LabError) -> Bool {
    let queues = try workshop.run(inside(Command("cat", ["/proc/net/netfilter/nfnetlink_queue"]))).output
    guard !queues.isEmpty else { return false }
    return try !workshop.run(inside(Command("ss", ["-Hltn", "sport = :8443"]))).output.isEmpty
  }

  private func sluice(_ words: String...) throws(LabError) {
    try workshop.need(inside(Command(program, words + ["--config", workshop.path(Self.settings)])))
  }

  private func inside(_ command: Command) -> Command { LabNetwork.inside(network.gateway, command) }

  /// Events so far, one line each.
  func events() -> [LabEvent] {
    workshop.read("log/" + Self.events).split(separator: "\n").map { LabEvent(line: String($0)) }
  }

  private func configuration(rules: String) -> String {
    """
    vars:
      address-groups:
        HOME_NET: "[203.0.113.0/24,2001:db8::/32]"
        EXTERNAL_NET: "!$HOME_NET"
    default-rule-path: \(rules)
    rule-files: ["*.rules"]
    classification-file: \(rules)/classification.config
    reference-config-file: \(rules)/reference.config
    default-log-dir: \(workshop.path("log"))
    outputs:
      - eve-log:
          enabled: yes
          filename: \(Self.events)
          types: [alert, drop, {http: {extended: yes}}, http2, {tls: {extended: yes}}, flow, sluice]
    capture:
      mode: router
      fail-open: no
    interception:
      enabled: yes
      ports: [443]
      listen-port: 8443
      ca-certificate: \(workshop.path(Self.authority))
      ca-key: \(workshop.path("ca.key"))
      extra-trust: ["\(workshop.path(LabServer.rootCertificate))"]
    control:
      socket: \(workshop.path("control.sock"))

    """
  }
}

/// A line of the event log. What the lab looks for is plain enough to be found without reading all of the JSON.
struct LabEvent {
  let line: String

  /// The value of a name that stands in it once, or first.
  func value(_ name: String) -> String? {
    guard let start = line.range(ofFirst: "\"\(name)\":") else { return nil }
    let rest = line[start...].drop { $0 == " " }
    if rest.first == "\"" { return String(rest.dropFirst().prefix { $0 != "\"" }) }
    return String(rest.prefix { !",}]".contains($0) })
  }

  /// Whether it is an alert of one of these rules that was acted on.
  func isBlock(by rules: ClosedRange<Int>) -> Bool {
    guard value("event_type") == "alert", value("action") == "blocked" else { return false }
    return value("signature_id").flatMap { Int($0) }.map(rules.contains) ?? false
  }

  /// Who, what and by which rule, for people.
  var summary: String {
    let address = ["src_ip", "src_port", "dest_ip", "dest_port"].map { value($0) ?? "?" }
    return "\(value("event_type") ?? "?") \(value("action") ?? "?") "
      + "\(address[0]) \(address[1]) -> \(address[2]) \(address[3]) "
      + "sid \(value("signature_id") ?? "?") \"\(value("signature") ?? "?")\" sni \(value("sni") ?? "?")"
  }
}

extension String {
  /// Where the text behind the first occurrence of `text` begins.
  fileprivate func range(ofFirst text: String) -> String.Index? {
    firstRange(of: text)?.upperBound
  }
}
