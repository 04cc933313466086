import Glibc
import RuleLanguage
import Synchronization

/// How a rule or the configuration describes a dataset.
public struct DatasetDescription: Sendable {
  enum Format: Sendable { case lines, json, jsonLines }

  public var name: String
  public var kind: DatasetKind?
  /// Files as named; `state` stands in both.
  public var loadFile: String?
  public var saveFile: String?
  public var memcapBytes: Int?
  var format = Format.lines
  /// Paths of keys into JSON, by dots.
  var valueKey: String?
  var arrayKey: String?
  var removesValue = false
  /// Where relative names of files to load are looked up first.
  public var directory: String?

  public init(name: String) { self.name = name }
}

/// The datasets of a process by name.
///
/// Sets that rules add to and save, and those of the configuration, outlive a reload; sets that are only
/// loaded are read again with each rule set.
public final class DatasetStore: Sendable {
  private struct Known {
    var dataset: Dataset
    var savePath: String?
    /// Read again with the next rule set.
    var isStatic: Bool
    var generation: UInt64
  }

  private struct State {
    var known: [String: Known] = [:]
    var generation: UInt64 = 0
    var directory: String?
  }

  /// Files above this are refused.
  static let fileBytesMax = 1 << 30
  private let state = Mutex(State())

  public init() {}

  /// Where files of `save` and `state` lie; nil is the working folder.
  public func setDirectory(_ directory: String?) { state.withLock { $0.directory = directory } }

  /// A rule set is about to be compiled: what is static is read anew.
  func beginRuleSet() { state.withLock { $0.generation &+= 1 } }

  /// The set of that name, made and loaded where there is none.
  public func declare(_ description: DatasetDescription) throws(RuleValueError) {
    _ = try dataset(description, isStatic: false)
  }

  func dataset(
    _ description: DatasetDescription, isStatic: Bool? = nil
  ) throws(RuleValueError) -> Dataset {
    let (known, generation, directory) = state.withLock {
      ($0.known[description.name], $0.generation, $0.directory)
    }
    if let known, !known.isStatic || known.generation == generation {
      if let kind = description.kind, kind != known.dataset.kind {
        throw RuleValueError(
          "the dataset \(description.name) is of type \(known.dataset.kind.rawValue) elsewhere")
      }
      if let save = description.saveFile, known.savePath == nil {
        let path = Self.path(save, in: directory)
        state.withLock { $0.known[description.name]?.savePath = path }
      }
      return known.dataset
    }
    guard let kind = description.kind else {
      throw RuleValueError("the dataset \(description.name) needs a type", hint: "type string")
    }
    let dataset = Dataset(
      name: description.name, kind: kind, memcapBytes: description.memcapBytes ?? Dataset.memcapDefault)
    try load(description, directory, into: dataset)
    let entry = Known(
      dataset: dataset, savePath: description.saveFile.map { Self.path($0, in: directory) },
      isStatic: isStatic ?? (description.loadFile != nil && description.saveFile == nil),
      generation: generation)
    state.withLock { $0.known[description.name] = entry }
    return dataset
  }

  private func load(
    _ description: DatasetDescription, _ directory: String?, into dataset: Dataset
  ) throws(RuleValueError) {
    guard let file = description.loadFile else { return }
    var paths = [Self.path(file, in: directory)]
    // A `state` lies where it is saved; what is only loaded lies beside the rules.
    if description.saveFile == nil { paths = [Self.path(file, in: description.directory), file] }
    guard let bytes = paths.lazy.compactMap(Self.read).first else {
      if description.saveFile != nil { return }
      throw RuleValueError("the file \(file) cannot be read")
    }
    switch description.format {
    case .lines:
      if let line = dataset.load(lines: bytes) {
        throw RuleValueError("\(file), line \(line): no value of type \(dataset.kind.rawValue)")
      }
    case .json, .jsonLines: try dataset.load(json: bytes, description)
    }
  }

  /// Writes the sets that are to be saved.
  /// - Returns: the files that could not be written.
  @discardableResult
  public func save() -> [String] {
    let all = state.withLock { $0.known.values.compactMap { known in known.savePath.map { ($0, known.dataset) } } }
    return all.sorted { $0.0 < $1.0 }.filter { !Self.write($1.lines(), to: $0) }.map(\.0)
  }

  // MARK: Files

  private static func path(_ name: String, in directory: String?) -> String {
    guard !name.hasPrefix("/"), let directory, !directory.isEmpty else { return name }
    return directory + "/" + name
  }

  static func read(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count <= fileBytesMax {
      // SAFETY: the call writes at most `piece.count` octets into the array.
      let got = unsafe Glibc.read(descriptor, &piece, piece.count)
      if got < 0 { return nil }
      if got == 0 { return bytes }
      bytes += piece[..<got]
    }
    return nil
  }

  private static func write(_ bytes: [UInt8], to path: String) -> Bool {
    let temporary = "\(path).\(getpid())"
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else { return false }
    var rest = bytes[...]
    while !rest.isEmpty {
      // SAFETY: the slice's own storage is read, no further than its count.
      let put = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard put > 0 else { break }
      rest = rest.dropFirst(put)
    }
    close(descriptor)
    guard rest.isEmpty, unsafe rename(temporary, path) == 0 else {
      unsafe unlink(temporary)
      return false
    }
    return true
  }
}
