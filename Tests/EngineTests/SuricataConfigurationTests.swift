import Detection
import RuleLanguage
import Testing

@testable import Engine

@Suite struct SuricataConfigurationTests {
  private func settings(_ files: [String: String], _ name: String = "suricata.yaml") throws -> Settings {
    let folder = try TemporaryFolder()
    for (name, text) in files { _ = try folder.file(name, Array(text.utf8)) }
    return try Settings.load(file: folder.path + "/" + name, flowSeed: 1)
  }

  private func refusal(_ files: [String: String]) throws -> String {
    try #require(throws: SettingsError.self) { _ = try settings(files) }.message
  }

  @Test func `sections whose keys are all commented out say nothing`() throws {
    let all = try settings(["suricata.yaml": "%YAML 1.1\n---\ncapture:\nplugins:\nheartbeat:\nnfq:\n  #mode: accept\ndefrag:\n"])
    #expect(all.warnings == [])
  }

  @Test func `the capture section of Suricata is warned of, not refused`() throws {
    let all = try settings(["suricata.yaml": "capture:\n  disable-offloading: false\n  checksum-validation: none\n"])
    #expect(all.warnings.count == 2)
    #expect(all.warnings[0].hasSuffix("suricata.yaml:2: capture.disable-offloading has no meaning here and is ignored"))
  }

  @Test func `outputs that are switched on and are none here are warned of once, those that are off are not`() throws {
    let all = try settings([
      "suricata.yaml": """
      outputs:
        - fast: {enabled: yes, filename: fast.log}
        - pcap-log: {enabled: no}
        - eve-log:
            enabled: yes
            filetype: syslog
            types: [alert, bittorrent-dht, krb5: {enabled: no}]
        - file-store: {enabled: no, version: 2}

      """
    ])
    #expect(all.warnings.count == 3)
    #expect(all.warnings[0].hasSuffix(":2: outputs.fast has no meaning here and is ignored"))
    #expect(all.warnings[1].contains("filetype: syslog"))
    #expect(all.warnings[2].hasSuffix("there are no records of bittorrent-dht"))
  }

  @Test func `files are included by key, by list and by tag; what comes later counts`() throws {
    let all = try settings([
      "suricata.yaml": """
      vars: {address-groups: {HOME_NET: 10.0.0.0/8}}
      default-rule-path: /first
      include: [vars.yaml, paths.yaml]
      stream: !include stream.yaml
      rule-files: [a.rules]

      """,
      "vars.yaml": "vars: {address-groups: {MINE: 192.0.2.1}}\n",
      "paths.yaml": "default-rule-path: /second\ninclude: deeper.yaml\n",
      "deeper.yaml": "max-pending-packets: 7\n",
      "stream.yaml": "reassembly: {depth: 2mb}\n",
    ])
    #expect(all.variables.addressGroups["HOME_NET"] == "10.0.0.0/8")
    #expect(all.variables.addressGroups["MINE"] == "192.0.2.1")
    #expect(all.rules.directory == "/second")
    #expect(all.inspection.reassembly.depthBytes == 2 << 20)
    #expect(all.warnings.count == 1 && all.warnings[0].contains("/deeper.yaml:1: max-pending-packets"))
  }

  @Test func `a file that is missing, or that includes itself, is refused with both names`() throws {
    #expect(try refusal(["suricata.yaml": "include: gone.yaml\n"]).contains("gone.yaml, which cannot be read"))
    #expect(try refusal(["suricata.yaml": "include: suricata.yaml\n"]).contains("include one another more than 8 deep"))
    #expect(try refusal(["suricata.yaml": "include: list.yaml\n", "list.yaml": "- a\n"]).contains("list.yaml"))
  }

  @Test func `limits of defragmentation are read`() throws {
    let all = try settings([
      "suricata.yaml": "defrag: {memcap: 16 MiB, trackers: 1000, timeout: 30, hash-size: 65536, max-frags: 65535, prealloc: yes}\n"
    ])
    #expect(all.inspection.defragmentation.memcapBytes == 16 << 20)
    #expect(all.inspection.defragmentation.datagramCountMax == 1000)
    #expect(all.inspection.defragmentation.timeoutSeconds == 30)
    #expect(all.warnings == [])
  }

  @Test func `sets of values of the configuration are there for rules that name them`() throws {
    let folder = try TemporaryFolder()
    // "a.example" in Base64, as sets of strings are written.
    let list = try folder.file("hosts.lst", Array("YS5leGFtcGxl\n".utf8))
    let file = try folder.file(
      "suricata.yaml",
      Array("datasets:\n  defaults: {memcap: 10mb}\n  hosts: {type: string, load: \(list), hashsize: 16}\n".utf8))
    let rules = try folder.file(
      "t.rules", Array("alert http any any -> any any (http.host; dataset:isset,hosts; sid:1;)\n".utf8))
    let settings = try Settings.load(file: file, flowSeed: 1)
    #expect(settings.warnings == [])
    let loaded = try RuleLoader.load(settings, paths: [rules], shared: SharedDetectionState())
    #expect(loaded.loaded == 1 && loaded.diagnostics == [])
  }

  @Test(arguments: [
    ("datasets: {hosts: {load: a.lst}}", "datasets.hosts.type is missing"),
    ("datasets: {hosts: {type: apple}}", "there is no type apple"),
    ("datasets: {hosts: {type: string, memcap: much}}", "datasets.hosts.memcap must be a size"),
    ("defrag: {timeout: 0}", "defrag.timeout"), ("defrag: {memcap: large}", "defrag.memcap"),
  ])
  func `what cannot be is refused`(text: String, message: String) throws {
    #expect(try refusal(["suricata.yaml": text + "\n"]).contains(message))
  }

  @Test func `a rule file that the configuration names and that is not there is warned of`() throws {
    let settings = try settings(["suricata.yaml": "default-rule-path: /nowhere\nrule-files: [suricata.rules, '*.none']\n"])
    let loaded = try RuleLoader.load(settings, shared: SharedDetectionState())
    #expect(loaded.total == 0 && loaded.diagnostics.map(\.severity) == [.warning, .warning])
    #expect(loaded.diagnostics.map(\.file) == ["/nowhere/suricata.rules", "/nowhere/*.none"])
  }

  @Test func `a rule file that the command line names must be there`() throws {
    #expect(throws: SettingsError.self) {
      try RuleLoader.load(Settings.load(file: nil, flowSeed: 1), paths: ["/nowhere/a.rules"], shared: .init())
    }
  }
}
