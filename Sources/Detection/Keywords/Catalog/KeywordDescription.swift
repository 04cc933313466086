/// What a person should know of a keyword; `sluice keywords` and docs/keywords.md are made of these.
public struct KeywordDescription: Sendable {
  public enum Kind: String, Sendable, CaseIterable {
    case meta, flow, threshold, variable, packet, event, payload, transform, transaction, dataset
    case contentModifier = "content modifier"
    case stickyBuffer = "sticky buffer"
    case headerBuffer = "header buffer"
    case legacyModifier = "legacy modifier"
  }

  /// Which way the traffic goes that the keyword looks at.
  public enum Way: String, Sendable {
    case toServer = "to server"
    case toClient = "to client"
    case both
    /// It is not about traffic of one direction.
    case none = "-"
  }

  public var name: String
  public var aliases: [String]
  public var kind: Kind
  /// What the rule's traffic must be for the keyword to find anything; empty for any.
  public var protocols: [String]
  public var way: Way
  /// May occur several times in a transaction; each is inspected by itself.
  public var isMultiple = false
  /// Grows while the transaction goes on.
  public var isStreaming = false
  /// The value that it takes, in the rule's spelling; empty without one.
  public var syntax: String
  public var summary: String
  /// The options of a rule that loads.
  public var exampleOptions: String
  /// The release that has it first.
  public var since: String
  /// The file that reads it, from the root of the sources.
  public var source: String

  public init(
    _ name: String, aliases: [String] = [], kind: Kind, protocols: [String] = [], way: Way = .none,
    syntax: String = "", summary: String, example: String, since: String = "0.1.0", source: String = ""
  ) {
    self.name = name
    self.aliases = aliases
    self.kind = kind
    self.protocols = protocols
    self.way = way
    self.syntax = syntax
    self.summary = summary
    exampleOptions = example
    self.since = since
    self.source = source
  }

  /// A rule that uses the keyword.
  public var example: String {
    let header = protocols.first { $0 != "file" } ?? "tcp"
    let own = ["msg", "sid"].contains(name) ? "" : "msg:\"\(name)\"; "
    return "alert \(header) any any -> any any (\(own)\(exampleOptions) sid:1;)"
  }
}

/// The descriptions of all keywords that rules may use, made from the tables that read them.
public enum KeywordCatalog {
  /// In the order of the kinds, then of the names.
  public static let all: [KeywordDescription] = {
    let order = KeywordDescription.Kind.allCases
    return (written + buffers + headers + legacyModifiers).sorted { left, right in
      let places = (order.firstIndex(of: left.kind) ?? 0, order.firstIndex(of: right.kind) ?? 0)
      return places.0 != places.1 ? places.0 < places.1 : left.name < right.name
    }
  }()

  /// The description of a keyword by its name or another of its names.
  public static func description(of name: String) -> KeywordDescription? {
    all.first { $0.name == name } ?? all.first { $0.aliases.contains(name) }
  }

  /// Keywords that rules may use and nothing describes: there should be none.
  public static var undescribed: [String] {
    let known = Set(all.flatMap { [$0.name] + $0.aliases })
    return KeywordTable.names.filter { !known.contains($0) }
  }

  /// Descriptions of keywords that rules may not use: there should be none.
  public static var stale: [String] {
    let known = Set(KeywordTable.names)
    return all.flatMap { [$0.name] + $0.aliases }.filter { !known.contains($0) }
  }

  /// Those that no table but this one knows enough of.
  private static let written = [
    metaKeywords, flowKeywords, thresholds, variables, packetKeywords, events, payloadKeywords, contentModifiers, transforms, transactions,
    datasets, reputation,
  ].flatMap { $0 }
}
