/// What is to be found out about files in transfer: only what rules or settings ask for is done.
public struct FileNeeds: OptionSet, Sendable, Hashable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let md5 = FileNeeds(rawValue: 1)
  public static let sha1 = FileNeeds(rawValue: 2)
  public static let sha256 = FileNeeds(rawValue: 4)
  public static let magic = FileNeeds(rawValue: 8)
  /// A rule may ask for the content to be stored.
  public static let store = FileNeeds(rawValue: 16)
  /// All content is stored.
  public static let storeAll = FileNeeds(rawValue: 32)
}

/// What an operator may set for files (`outputs.file-store`, `force-hash`, `force-magic`).
public struct FileSettings: Sendable, Equatable {
  /// Done for every file, whatever the rules.
  public var forced: FileNeeds = []
  /// There is a place to store files; without it `filestore` rules only match.
  public var isStoreEnabled = false
  /// Octets of a body that are followed where files are stored, in place of the protocol's own limit
  /// (`file-store.stream-depth`); nil for all.
  public var storeDepthBytes: UInt64?
  /// Octets of a file that wait in memory for a rule to ask for it; of one that gets longer before any
  /// does, nothing is stored (``FileCounters/forgotten``).
  public var undecidedBytesMax = 16_777_216
  /// Octets after which the type of a file is told; files that end earlier have theirs told then.
  public var magicBytesMin = 512
  /// Octets of the beginning of a file that its type is told by.
  public var magicBytesMax = 65_536

  public init() {}
}
