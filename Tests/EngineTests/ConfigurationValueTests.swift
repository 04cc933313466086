import Testing

@testable import Engine

@Suite struct ConfigurationValueTests {
  @Test func `a dotted path sets what is missing on its way`() throws {
    var value = try ConfigurationValue.parse("a:\n  b: 1\n", file: "t.yaml")
    value.set("a.c.d"[...].split(separator: "."), "2")
    #expect(value.at("a.b") == .scalar("1"))
    #expect(value.at("a.c.d") == .scalar("2"))
  }

  @Test func `numbers in a path make and change lists`() throws {
    var value = ConfigurationValue.map([])
    value.set("rules.0"[...].split(separator: "."), "x")
    value.set("rules.1"[...].split(separator: "."), "y")
    value.set("rules.0"[...].split(separator: "."), "z")
    #expect(value.at("rules") == .list([.scalar("z"), .scalar("y")]))
  }

  @Test func `a list of one-key mappings is found by the key`() throws {
    let value = try ConfigurationValue.parse(
      "outputs:\n  - fast:\n      enabled: no\n  - eve-log:\n      filename: e.json\n", file: "t.yaml")
    #expect(value.at("outputs.eve-log.filename") == .scalar("e.json"))
    #expect(value.at("outputs.1.eve-log.filename") == .scalar("e.json"))
    #expect(value.at("outputs.none") == nil)
  }

  @Test func `what is no mapping is refused with the file's name`() {
    #expect(throws: SettingsError.self) { try ConfigurationValue.parse("- a\n- b\n", file: "t.yaml") }
    #expect(throws: SettingsError.self) { try ConfigurationValue.parse("a: [1, 2", file: "t.yaml") }
  }

  @Test(arguments: [
    ("64kb", 65_536), ("1 MiB", 1_048_576), ("2gb", 2 << 30), ("17", 17), ("10b", 10), ("0", 0),
  ])
  func `sizes carry units of 1024`(text: String, size: Int) {
    #expect(SettingsReader.size(text) == size)
  }

  @Test(arguments: ["", "kb", "-1", "1.5mb", "9999999999gb", "ten"])
  func `what is no size is none`(text: String) {
    #expect(SettingsReader.size(text) == nil)
  }

  @Test func `keys of ours must be right, and a near one is suggested`() {
    #expect(throws: SettingsError.self) {
      try Settings.load(file: nil, overrides: ["capture.quues=2"], flowSeed: 1)
    }
    do {
      _ = try Settings.load(file: nil, overrides: ["capture.quues=2"], flowSeed: 1)
    } catch {
      #expect(error.message.contains("capture.queues"))
    }
  }

  @Test func `keys of Suricata without a meaning here are warned of once`() throws {
    let settings = try Settings.load(file: nil, overrides: ["profiling.rules=yes"], flowSeed: 1)
    #expect(settings.warnings.count == 1)
    #expect(settings.warnings.first?.contains("profiling") == true)
  }

  @Test func `policies that are not set follow the mode`() throws {
    var settings = try Settings.load(
      file: nil, overrides: ["stream.midstream-policy=pass-flow"], flowSeed: 1)
    settings.prepareForCaptures(isInline: true)
    #expect(settings.inspection.exceptionPolicies.midstream == .passFlow)
    #expect(settings.inspection.exceptionPolicies.appLayerError == .dropFlow)
    settings.prepareForCaptures(isInline: false)
    #expect(settings.inspection.exceptionPolicies.appLayerError == .ignore)
  }
}
