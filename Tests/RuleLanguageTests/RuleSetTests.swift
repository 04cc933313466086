import Testing

@testable import RuleLanguage

#if canImport(Glibc)
  import Glibc
#endif

/// The file that the environment names, or nil.
private func ruleFile() -> [UInt8]? {
  // SAFETY: getenv gives a NUL-terminated string or nil; it is copied at once, and tests do not change the environment.
  guard let path = unsafe getenv("SLUICE_RULES").map({ unsafe String(cString: $0) }) else { return nil }
  // SAFETY: the stream is closed below and the buffer is as large as the count handed over.
  guard let file = unsafe fopen(path, "rb") else { return nil }
  defer { unsafe fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 20)
  while true {
    let count = unsafe fread(&buffer, 1, buffer.count, file)
    guard count > 0 else { return bytes }
    bytes += buffer[..<count]
  }
}

@Suite("A rule set in use", .enabled(if: ruleFile() != nil, "SLUICE_RULES names no file"))
struct RuleSetTests {
  @Test func `every rule parses, every header resolves, every pattern is well formed`() throws {
    let bytes = try #require(ruleFile())
    let clock = ContinuousClock()
    var file = RuleFileSyntax(fileName: "")
    let seconds = clock.measure { file = RuleFile.parse(bytes, fileName: "set") }
    print("\(file.rules.count) rules in \(seconds)")
    #expect(file.diagnostics == [])
    #expect(!file.rules.isEmpty)
    var groups: [String: String] = [:]
    var ports: [String: String] = [:]
    for name in ["HOME_NET", "HTTP_SERVERS", "SMTP_SERVERS", "SQL_SERVERS", "DNS_SERVERS", "TELNET_SERVERS"] {
      groups[name] = "10.0.0.0/8"
    }
    groups["EXTERNAL_NET"] = "!$HOME_NET"
    for name in ["HTTP_PORTS", "ORACLE_PORTS", "SSH_PORTS", "FTP_PORTS"] { ports[name] = "80" }
    ports["SHELLCODE_PORTS"] = "!80"
    var resolver = RuleVariableResolver(RuleVariables(addressGroups: groups, portGroups: ports))
    for rule in file.rules { try check(rule, &resolver) }
  }

  private func check(_ rule: RuleSyntax, _ resolver: inout RuleVariableResolver) throws {
    do throws(RuleValueError) {
      _ = try resolver.addresses(rule.source)
      _ = try resolver.addresses(rule.destination)
      _ = try resolver.ports(rule.sourcePorts)
      _ = try resolver.ports(rule.destinationPorts)
    } catch { Issue.record("\(rule.location): \(error)") }
    for option in rule.options {
      do throws(RuleValueError) { try check(option) } catch {
        Issue.record("\(option.diagnostic(error, sid: rule.sid))")
      }
    }
  }

  private func check(_ option: RuleOption) throws(RuleValueError) {
    guard let value = option.value else { return }
    switch option.name {
    case "content": _ = try ContentPattern.parse(value)
    case "pcre": _ = try PCREValue.parse(value)
    case "bsize", "dsize": _ = try NumericCondition.parse(value)
    case "threshold", "detection_filter": _ = try RuleValueList.parseKeyValues(value)
    case "msg": _ = try QuotedString.parse(value)
    default: return
    }
  }
}
