import Foundation
import RuleLanguage
import Testing

@testable import Detection

/// Loads a whole rule file named by SLUICE_RULES; left out otherwise.
@Suite struct RuleSetLoadingTests {
  static let path = ProcessInfo.processInfo.environment["SLUICE_RULES"]

  private static func printMemory(_ when: String) {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    for line in status.split(separator: "\n") where line.hasPrefix("VmRSS") || line.hasPrefix("VmHWM") {
      print("LOAD \(when) \(line)")
    }
  }

  @Test(.enabled(if: path != nil)) func loadsARuleFile() throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: try #require(Self.path)))
    Self.printMemory("read")
    let clock = ContinuousClock()
    let start = clock.now
    let shared = SharedDetectionState()
    var settings = RuleCompiler.Settings()
    settings.variables = .home
    settings.cacheDirectory = ProcessInfo.processInfo.environment["SLUICE_CACHE"]
    var compiler = RuleCompiler(settings: settings, shared: shared)
    var reader = RuleFileReader(Array(data), fileName: "rules")
    var total = 0
    var syntaxErrors = 0
    while let item = reader.next() {
      switch item {
      case .rule(let rule):
        total += 1
        compiler.add(rule)
      case .diagnostic(let diagnostic):
        if diagnostic.severity == .error { syntaxErrors += 1 }
      }
    }
    let parsed = clock.now
    Self.printMemory("compiled")
    let result = compiler.finish()
    Self.printMemory("finished")
    let done = clock.now
    print("LOAD total \(total) syntax errors \(syntaxErrors) loaded \(result.ruleSet.ruleCount)")
    print("LOAD compile \(parsed - start) groups \(done - parsed)")
    print(
      "LOAD tables \(result.ruleSet.databaseCount) patterns \(result.ruleSet.patternCount) bytes \(result.ruleSet.patternBytes)"
    )
    var reasons: [String: Int] = [:]
    for diagnostic in result.diagnostics where diagnostic.severity == .error {
      reasons[diagnostic.message, default: 0] += 1
    }
    for (reason, count) in reasons.sorted(by: { $0.value > $1.value }).prefix(60) {
      print("LOAD refused \(count) \(reason)")
    }
    let groups = result.ruleSet.groups
    print("LOAD addresses \(groups.addresses.bySource.lows.count) always \(groups.addresses.always.count)")
    print("LOAD packet \(groups.packet.map(\.count))")
    print("LOAD payload unconditional \((groups.packetPayload + groups.stream).map(\.unconditional.count))")
    for (slot, group) in groups.transactions.enumerated() where !group.isEmpty {
      let scans = group.scans.map { "\($0.buffer)\($0.transforms.isEmpty ? "" : "*"):\($0.table.constraints.count)" }
      print("LOAD slot \(slot) unconditional \(group.unconditional.count) scans \(scans)")
    }
    #expect(result.ruleSet.ruleCount > 0)
  }
}

extension RuleVariables {
  /// What the rules of public sets expect.
  static var home: RuleVariables {
    RuleVariables(
      addressGroups: [
        "HOME_NET": "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]", "EXTERNAL_NET": "!$HOME_NET",
        "HTTP_SERVERS": "$HOME_NET", "SMTP_SERVERS": "$HOME_NET", "SQL_SERVERS": "$HOME_NET",
        "DNS_SERVERS": "$HOME_NET", "TELNET_SERVERS": "$HOME_NET", "AIM_SERVERS": "$EXTERNAL_NET",
        "DC_SERVERS": "$HOME_NET", "SSH_SERVERS": "$HOME_NET",
      ],
      portGroups: [
        "HTTP_PORTS": "80", "SHELLCODE_PORTS": "!80", "ORACLE_PORTS": "1521", "SSH_PORTS": "22",
        "FTP_PORTS": "21", "FILE_DATA_PORTS": "[$HTTP_PORTS,110,143]", "SIP_PORTS": "[5060,5061]",
      ])
  }
}
