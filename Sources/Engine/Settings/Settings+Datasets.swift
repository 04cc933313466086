import Detection
import RuleLanguage

extension Settings {
  /// Sets of values that are there before any rule asks for them.
  ///
  /// - Source: Suricata "Datasets", global configuration: `datasets.NAME` with `type`, `load`, `save`, `state`,
  ///   `memcap`; `defaults` and `limits` are about tables that grow by themselves here.
  mutating func readDatasets(_ reader: inout SettingsReader) throws(SettingsError) {
    if let directory = try reader.text("data-dir") { rules.dataDirectory = directory }
    for name in ["defaults", "limits", "rules"] { reader.note("datasets." + name) }
    guard case .map(let entries)? = reader.root.at("datasets") else { return }
    for entry in entries where !["defaults", "limits", "rules"].contains(entry.key) {
      // Single values (`enabled`, `save-directory`) are no sets.
      guard case .map = entry.value else {
        reader.note("datasets." + entry.key)
        continue
      }
      let path = "datasets.\(entry.key)."
      var description = DatasetDescription(name: entry.key)
      if let type = try reader.text(path + "type") {
        guard let kind = DatasetKind(rawValue: type) else {
          throw SettingsError("\(reader.file): \(path)type: there is no type \(type)")
        }
        description.kind = kind
      } else {
        throw SettingsError("\(reader.file): \(path)type is missing")
      }
      description.loadFile = try reader.text(path + "load")
      description.saveFile = try reader.text(path + "save")
      if let state = try reader.text(path + "state") {
        description.loadFile = state
        description.saveFile = state
      }
      description.memcapBytes = try reader.size(path + "memcap")
      description.directory = rules.directory
      reader.note(path + "hashsize")
      rules.datasets.append(description)
    }
  }
}
