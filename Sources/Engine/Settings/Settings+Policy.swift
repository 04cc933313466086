import Interception
import RuleLanguage

extension Settings {
  /// `policy`: a list of entries; `policy-categories`: the folder of category files.
  mutating func readPolicy(_ reader: inout SettingsReader) throws(SettingsError) {
    if let folder = try reader.text("policy-categories") { categoryFolder = folder }
    guard let value = reader.value("policy") else { return }
    guard case .list(let items) = value else {
      throw SettingsError("\(reader.file): policy must be a list of entries")
    }
    for (index, item) in items.enumerated() {
      policy.append(try policyEntry(item, "\(reader.file): policy entry \(index + 1)"))
    }
  }

  private func policyEntry(
    _ item: ConfigurationValue, _ origin: String
  ) throws(SettingsError) -> PolicyEntry {
    guard case .map(let fields) = item else { throw SettingsError("\(origin) must be a mapping") }
    guard case .scalar(let name)? = item.at("action"), let action = PolicyEntry.Action(rawValue: name) else {
      throw SettingsError("\(origin) needs an action: inspect, tunnel or block")
    }
    var entry = PolicyEntry(action: action, origin: origin)
    for field in fields where field.key != "action" {
      let texts: [String]
      switch field.value {
      case .scalar(let text): texts = [text]
      case .list(let values): texts = values.compactMap { if case .scalar(let text) = $0 { text } else { nil } }
      case .map: throw SettingsError("\(origin): \(field.key) must be a value or a list")
      }
      guard !texts.isEmpty else { throw SettingsError("\(origin): \(field.key) is empty") }
      try read(field.key, texts, into: &entry)
    }
    return entry
  }

  private func read(
    _ key: String, _ texts: [String], into entry: inout PolicyEntry
  ) throws(SettingsError) {
    switch key {
    case "servers": entry.servers = try addresses(texts, key, entry)
    case "clients": entry.clients = try addresses(texts, key, entry)
    case "ports": entry.ports = try ports(texts, entry)
    case "sni": entry.names = (entry.names ?? NameList()).union(NameList(texts))
    case "sni-file":
      for path in texts { entry.names = (entry.names ?? NameList()).union(try names(path, entry)) }
    case "category":
      for name in texts {
        guard !name.contains("/"), !name.hasPrefix(".") else {
          throw SettingsError("\(entry.origin): category: \(name) is no name of a category")
        }
        entry.categories.append((name, try names("\(categoryFolder)/\(name).list", entry)))
      }
    case "ja3": entry.ja3 = try hashes(texts, key, 32, entry)
    case "ja4":
      guard let wrong = texts.first(where: { $0.utf8.count != 36 || $0.utf8.count { $0 == 0x5f } != 2 }) else {
        entry.ja4 = Set(texts)
        return
      }
      throw SettingsError("\(entry.origin): ja4: \(wrong) is no JA4")
    case "alpn": entry.alpn = Set(texts)
    case "ech": entry.hasECH = try flag(texts, key, entry)
    case "bad-certificate":
      guard texts.count == 1, entry.action == .inspect else {
        throw SettingsError("\(entry.origin): bad-certificate goes with action: inspect, and is one of block, pass-defect")
      }
      entry.badCertificate = try Self.reaction(texts[0], "\(entry.origin): bad-certificate")
    case "has-sni": entry.hasSNI = try flag(texts, key, entry)
    default:
      throw SettingsError(
        "\(entry.origin): there is no field \(key) (action, sni, sni-file, category, servers, clients, ports, ja3, ja4, alpn, ech, has-sni, bad-certificate)")
    }
  }

  private func addresses(
    _ texts: [String], _ key: String, _ entry: PolicyEntry
  ) throws(SettingsError) -> AddressSet {
    do throws(RuleValueError) {
      return try variables.resolve(try AddressExpression("[" + texts.joined(separator: ",") + "]"))
    } catch {
      throw SettingsError("\(entry.origin): \(key): \(error.message)")
    }
  }

  private func ports(_ texts: [String], _ entry: PolicyEntry) throws(SettingsError) -> PortSet {
    do throws(RuleValueError) {
      return try variables.resolve(try PortExpression("[" + texts.joined(separator: ",") + "]"))
    } catch {
      throw SettingsError("\(entry.origin): ports: \(error.message)")
    }
  }

  private func names(_ path: String, _ entry: PolicyEntry) throws(SettingsError) -> NameList {
    guard let bytes = TextFile.read(path) else {
      throw SettingsError("\(entry.origin): \(path): \(TextFile.lastError())")
    }
    switch NameList.parse(String(decoding: bytes, as: UTF8.self)) {
    case .success(let list): return list
    case .failure(let error): throw SettingsError("\(path):\(error.line): \(error.text) is no name")
    }
  }

  private func hashes(
    _ texts: [String], _ key: String, _ length: Int, _ entry: PolicyEntry
  ) throws(SettingsError) -> Set<String> {
    let lower = texts.map { $0.lowercased() }
    if let wrong = lower.first(where: { $0.utf8.count != length || !$0.allSatisfy(\.isHexDigit) }) {
      throw SettingsError("\(entry.origin): \(key): \(wrong) is not \(length) hex digits")
    }
    return Set(lower)
  }

  private func flag(_ texts: [String], _ key: String, _ entry: PolicyEntry) throws(SettingsError) -> Bool {
    guard texts.count == 1, let value = SettingsReader.flag(texts[0]) else {
      throw SettingsError("\(entry.origin): \(key) must be yes or no")
    }
    return value
  }
}
