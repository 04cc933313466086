import AppLayer
import RuleLanguage

/// Rules in the order of loading as they are needed for matching, and the groups that they are sorted into.
///
/// What is kept of a draft is copied: drafts come from threads whose memory is given back as a whole.
struct RuleListing {
  private(set) var infos: [RuleInfo] = []
  private(set) var fileNeeds: FileNeeds = []
  private(set) var usesHASSH = false
  private var heads: [RuleHead] = []
  private var bodies: [RuleBody] = []
  /// What each is sorted by, its number of loading last.
  private var keys: [UInt64] = []
  private var replaced: Set<Int> = []
  private var classNames: [String: String] = [:]
  private var groups = GroupBuilder()
  private var reaches = SharedStep.Reaches()
  private let order: RuleOrder

  init(actionOrder: [RuleAction]) { order = RuleOrder(actionOrder) }

  /// - Parameters:
  ///   - number: its place in the order of loading, the last word in the order of trying.
  ///   - ports: the sets that its head names.
  /// - Returns: its index here.
  mutating func add(_ draft: RuleDraft, number: Int, ports: SetNumbers<PortSet>) -> Int {
    let index = infos.count
    groups.add(draft, as: RuleIndex(truncatingIfNeeded: index), ports)
    infos.append(draft.info)
    infos[index].className = draft.info.className.map { className($0) }
    heads.append(draft.head)
    keys.append(order.key(draft) << 32 | UInt64(UInt32(truncatingIfNeeded: number)))
    bodies.append(RuleBody(draft: draft, &reaches))
    fileNeeds.formUnion(draft.fileNeeds)
    usesHASSH = usesHASSH || draft.usesHASSH
    return index
  }

  /// One string for all rules of the class.
  private mutating func className(_ name: String) -> String {
    if let known = classNames[name] { return known }
    classNames[name] = name
    return name
  }

  /// The number of loading that a rule was given.
  func number(_ index: Int) -> Int { Int(UInt32(truncatingIfNeeded: keys[index])) }

  /// The rule gives way to another.
  mutating func remove(_ index: Int) { replaced.insert(index) }

  /// Puts the rules in the order in which they are tried and compiles the groups.
  consuming func finish(
    _ parts: inout RuleSetParts, scansPacketsWithStreams: Bool, threadCount: Int, cache: PatternCache?
  ) -> [String] {
    let sorted = infos.indices.filter { !replaced.contains($0) }.sorted { keys[$0] < keys[$1] }
    var places = [RuleIndex?](repeating: nil, count: infos.count)
    for (place, index) in sorted.enumerated() { places[index] = RuleIndex(truncatingIfNeeded: place) }
    parts.heads = sorted.map { heads[$0] }
    parts.infos = sorted.map { infos[$0] }
    parts.bodies = sorted.map { bodies[$0] }
    parts.fileNeeds = fileNeeds
    parts.usesHASSH = usesHASSH
    heads = []
    infos = []
    bodies = []
    // Taken out, or it would be copied to be changed.
    var groups = GroupBuilder()
    swap(&groups, &self.groups)
    let built = (consume groups).finish(
      places, addresses: parts.addressSets, ports: parts.portSets, scansPacketsWithStreams: scansPacketsWithStreams,
      threadCount: threadCount, cache: cache)
    parts.groups = built.groups
    return built.failures
  }
}
