import AppLayer
import RuleLanguage
import Traffic

/// Compiled rules: immutable, shared by all workers, replaced whole.
///
/// Rules are numbered in the order in which they are tried: by action, then setters of flow
/// variables before readers, then priority, then order of loading.
public final class RuleSet: Sendable {
  /// Every rule set has another number; flow state that refers to rules is forgotten when it changes.
  public let generation: UInt64
  let heads: [RuleHead]
  let bodies: [RuleBody]
  let infos: [RuleInfo]
  let addressSets: [AddressSet]
  let portSets: [PortSet]
  let groups: RuleGroups
  /// What its rules need to know of files in transfer.
  public let fileNeeds: FileNeeds
  /// A rule asks for a HASSH fingerprint.
  public let usesHASSH: Bool
  let suppressions: [SuppressionKey: [Suppression]]
  let rateFilters: [SuppressionKey: [RateFilter]]
  /// Octets that the pattern databases take.
  public let patternBytes: Int
  /// Pattern databases and literals in them.
  public let databaseCount: Int
  public let patternCount: Int

  init(parts: RuleSetParts) {
    generation = parts.generation
    heads = parts.heads
    bodies = parts.bodies
    infos = parts.infos
    addressSets = parts.addressSets
    portSets = parts.portSets
    groups = parts.groups
    fileNeeds = parts.fileNeeds
    usesHASSH = parts.usesHASSH
    suppressions = parts.suppressions
    rateFilters = parts.rateFilters
    let tables = parts.groups.tables
    patternBytes = tables.reduce(0) { $0 + $1.parts.reduce(0) { $0 + ($1.database?.byteCount ?? 0) } }
    databaseCount = tables.reduce(0) { $0 + $1.parts.count }
    patternCount = tables.reduce(0) { $0 + $1.constraints.count }
  }

  public var ruleCount: Int { heads.count }

  /// What logs say about a rule; nil for a number that is none of this set's.
  public func info(_ rule: RuleIndex) -> RuleInfo? {
    infos.indices.contains(Int(rule)) ? infos[Int(rule)] : nil
  }

  /// The rule names an application protocol.
  public func isAboutApplication(_ rule: RuleIndex) -> Bool {
    heads.indices.contains(Int(rule)) && !heads[Int(rule)].appProtocols.isAny
  }

  /// The rules with this sid, of any generator.
  public func rules(sid: UInt32) -> [RuleIndex] {
    infos.indices.filter { infos[$0].sid == sid }.map { RuleIndex($0) }
  }

  /// A set of no rules.
  public static let empty = RuleSet(parts: RuleSetParts())
}

struct RuleSetParts {
  var generation: UInt64 = 0
  var heads: [RuleHead] = []
  var bodies: [RuleBody] = []
  var infos: [RuleInfo] = []
  var addressSets: [AddressSet] = [.any]
  var portSets: [PortSet] = [.any]
  var groups = RuleGroups()
  var fileNeeds: FileNeeds = []
  var usesHASSH = false
  var suppressions: [SuppressionKey: [Suppression]] = [:]
  var rateFilters: [SuppressionKey: [RateFilter]] = [:]
}

/// The rules that a line of the threshold file is about; 0 stands for every.
struct SuppressionKey: Hashable, Sendable {
  var gid: UInt32
  var sid: UInt32
}

struct Suppression: Sendable {
  /// nil suppresses whatever the addresses.
  var track: ThresholdFile.Track?
  var addresses: AddressSet?
}

struct RateFilter: Sendable {
  var track: ThresholdFile.Track
  var count: UInt32
  var seconds: UInt32
  var newAction: RuleAction
  var timeoutSeconds: UInt32
}
