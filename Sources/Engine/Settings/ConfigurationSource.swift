/// A configuration file that is being read, and how it came to that.
///
/// - Source: Suricata "Includes": `include: FILE`, a list of files, or `key: !include FILE`; names are looked
///   up in the folder of the first file.
struct ConfigurationSource {
  var file: String
  /// Where relative names are looked up.
  private let directory: String?
  private let depth: Int

  /// Files that include one another deeper than this are refused: they include themselves.
  static let depthMax = 8

  init(file: String) {
    self.file = file
    directory = file.lastIndex(of: "/").map { String(file[..<$0]) }
    depth = 0
  }

  private init(file: String, directory: String?, depth: Int) {
    self.file = file
    self.directory = directory
    self.depth = depth
  }

  /// For messages; nil where it is the file that was named first.
  var includedFile: String? { depth > 0 ? file : nil }

  func include(_ name: String) throws(SettingsError) -> ConfigurationValue {
    guard depth < Self.depthMax else {
      throw SettingsError("\(file): files include one another more than \(Self.depthMax) deep")
    }
    let path = name.hasPrefix("/") ? name : directory.map { $0 + "/" + name } ?? name
    guard let bytes = TextFile.read(path) else {
      throw SettingsError("\(file): includes \(path), which cannot be read: \(TextFile.lastError())")
    }
    let inner = ConfigurationSource(file: path, directory: directory, depth: depth + 1)
    return try ConfigurationValue.parse(String(decoding: bytes, as: UTF8.self), inner)
  }
}
