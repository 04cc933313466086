import Traffic

/// What a worker uses to look at files; one for each, never shared between threads.
///
/// Flows that have begun keep what was needed when they met their first file, so that a reload never
/// finds half a digest.
public final class FileExaminer {
  public let settings: FileSettings
  /// What the rules in force ask for.
  public var ruleNeeds: FileNeeds = []
  /// There are rules, or records, that what is transferred matters to; without any, bodies are counted and not decoded.
  public var looksAtContent = true
  public internal(set) var counters = FileCounters()
  private lazy var types = FileTypes()

  public init(settings: FileSettings = FileSettings()) { self.settings = settings }

  /// What is done with a file that begins now.
  var needs: FileNeeds {
    var needs = settings.forced.union(ruleNeeds)
    if !settings.isStoreEnabled { needs.subtract([.store, .storeAll]) }
    // Stored files are named by their hash.
    if settings.isStoreEnabled { needs.insert(.sha256) }
    return needs
  }

  /// The limit that a protocol sets to a body, or that of the store where files are stored.
  func bodyLimitBytes(_ ownBytes: UInt64?) -> UInt64? {
    needs.isDisjoint(with: [.store, .storeAll]) ? ownBytes : settings.storeDepthBytes
  }

  func type(of head: [UInt8]) -> [UInt8]? { types.describe(head) }
}

/// What was met with files, for statistics.
public struct FileCounters: Sendable {
  public var files: UInt64 = 0
  /// Files too long to wait for a rule to ask for them (``FileSettings/undecidedBytesMax``).
  public var forgotten: UInt64 = 0
}

/// What the files of one flow share.
final class FlowFiles {
  let examiner: FileExaminer
  /// A rule asked for all files of the flow.
  var isStored: (toServer: Bool, toClient: Bool) = (false, false)

  init(_ examiner: FileExaminer) { self.examiner = examiner }
}

/// Which files of a flow a rule asks to be stored (`filestore`).
public enum FileStoreScope: UInt8, Sendable, Hashable {
  case file, transaction, flow
}
