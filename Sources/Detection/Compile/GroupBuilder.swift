import AppLayer
import RuleLanguage
import Traffic

/// Sorts rules into groups and plans a pattern table for each.
struct GroupBuilder {
  struct Built {
    var groups: RuleGroups
    var failures: [String]
  }

  private struct PayloadPlan {
    var any = PatternTablePlan()
    /// Literals of rules on few ports, by number of the port set.
    var narrow: [UInt32: [(pattern: FastPattern, rule: RuleIndex)]] = [:]
    var unconditional: [RuleIndex] = []
  }

  private struct ScanKey: Hashable {
    var buffer: BufferID?
    var transforms: [BufferTransform]
  }

  private struct ScanPlan {
    var key: ScanKey
    var progress: Set<Int>
    var isMultiple: Bool
    var isStreaming: Bool
    var table = PatternTablePlan()
  }

  private struct TransactionPlan {
    var scans: [ScanPlan] = []
    var numbers: [ScanKey: Int] = [:]
    var unconditional: [RuleIndex] = []
    var events: [RuleIndex] = []
  }

  private let addressSets: [AddressSet]
  private let portSets: [PortSet]
  private var groups = RuleGroups()
  private var packetPayload = Array(repeating: PayloadPlan(), count: PacketClass.countMax * 2)
  private var stream = Array(repeating: PayloadPlan(), count: 2)
  private var streamByProtocol: [Int: PayloadPlan] = [:]
  private var transactions: [Int: TransactionPlan] = [:]
  private var addresses: [(rule: RuleIndex, head: RuleHead)] = []

  /// - Parameter scansPacketsWithStreams: streams are inspected with the packets that bring them.
  init(addressSets: [AddressSet], portSets: [PortSet], scansPacketsWithStreams: Bool) {
    groups.scansPacketsWithStreams = scansPacketsWithStreams
    self.addressSets = addressSets
    self.portSets = portSets
  }

  /// Notes in the draft which content the prefilter finds.
  mutating func add(_ draft: RuleDraft, as rule: RuleIndex) {
    switch draft.kind {
    case .addressOnly: addresses.append((rule, draft.head))
    case .packet: addPacket(draft, rule)
    case .payload: addPayload(draft, rule)
    case .transaction:
      var found = FoundLiteral()
      for place in draft.transactionPlaces { addTransaction(draft, rule, place, &found) }
    case .protocolFound: groups.protocolFound.append(rule)
    case .event: addEvent(draft, rule)
    case .frame: groups.frames.append(rule)
    }
  }

  private mutating func addEvent(_ draft: RuleDraft, _ rule: RuleIndex) {
    for condition in draft.conditions {
      switch condition {
      case .packet(.decodeEvent): return groups.decodeEvents.append(rule)
      case .packet(.streamEvent): return groups.streamEvents.append(rule)
      case .packet(.flowEvent): return groups.flowEvents.append(rule)
      default: continue
      }
    }
  }

  // MARK: Packets and streams

  private static func classes(_ mask: ProtocolMask) -> [PacketClass] {
    var classes: [PacketClass] = []
    if mask.contains(.tcp) { classes.append(.tcp) }
    if mask.contains(.udp) { classes.append(.udp) }
    if mask.contains(.icmp) { classes.append(.icmp) }
    if !mask.isDisjoint(with: .anyIP) { classes.append(.other) }
    if mask.contains(.noIP) { classes.append(.noIP) }
    return classes
  }

  private func directions(_ draft: RuleDraft) -> [Direction] {
    Direction.allCases.filter { draft.allows($0) }
  }

  private mutating func addPacket(_ draft: RuleDraft, _ rule: RuleIndex) {
    for packetClass in Self.classes(draft.head.protocols) {
      for direction in directions(draft) {
        groups.packet[packetClass.rawValue * 2 + direction.index].append(rule)
      }
    }
  }

  private mutating func addPayload(_ draft: RuleDraft, _ rule: RuleIndex) {
    guard let payload = draft.payload else { return }
    let choice = FastPatternChoice.best([(nil, payload, 100)], reach: draft.payloadReach)
    if let content = choice?.content { draft.payload?.orderLiterals(withoutContent: content) }
    for direction in directions(draft) {
      let ports = serverPorts(draft.head, direction)
      if !draft.head.appProtocols.isAny {
        for appProtocol in AppProtocol.allCases where draft.head.appProtocols.contains(appProtocol) {
          // Packets of that protocol that are in no stream are looked up there too.
          let slot = RuleGroups.slot(appProtocol, direction)
          Self.put(rule, choice, ports, &streamByProtocol[slot, default: PayloadPlan()])
        }
        if draft.payloadScope.contains(.packet), draft.head.protocols.contains(.tcp) {
          Self.put(rule, choice, ports, &packetPayload[PacketClass.tcp.rawValue * 2 + direction.index])
        }
        continue
      }
      for packetClass in Self.classes(draft.head.protocols) {
        if packetClass == .tcp, draft.payloadScope.contains(.stream) {
          Self.put(rule, choice, ports, &stream[direction.index])
        }
        if packetClass != .tcp || draft.payloadScope.contains(.packet) {
          Self.put(rule, choice, ports, &packetPayload[packetClass.rawValue * 2 + direction.index])
        }
      }
    }
  }

  private static func put(
    _ rule: RuleIndex, _ choice: FastPatternChoice.Choice?, _ ports: UInt32?,
    _ plan: inout PayloadPlan
  ) {
    guard let choice else {
      plan.unconditional.append(rule)
      return
    }
    if let ports, !isForAllPorts(choice) {
      plan.narrow[ports, default: []].append((choice.pattern, rule))
    } else {
      plan.any.add(choice.pattern, rule: rule)
    }
  }

  /// A literal that says as much as four letters is looked for on all ports, whatever its rule's: it is
  /// rare enough elsewhere, and one scan of more literals costs less than two of fewer.
  static func isForAllPorts(_ choice: FastPatternChoice.Choice) -> Bool { choice.score >= 12 }

  /// Ports in a set above which its rules are found without regard to the port.
  private static let narrowPortsMax = 64

  /// The set of server ports when it is narrow enough for tables of its own.
  private func serverPorts(_ head: RuleHead, _ direction: Direction) -> UInt32? {
    guard !head.isBothWays else { return nil }
    let number = direction == .toServer ? head.destinationPorts : head.sourcePorts
    guard number != 0 else { return nil }
    let count = portSets[Int(number)].ranges.reduce(0) { $0 + Int($1.high) - Int($1.low) + 1 }
    return count <= Self.narrowPortsMax ? number : nil
  }

  // MARK: Transactions

  /// The literal chosen for a place, and the buffers chosen from, a bit for each: most places of a rule have the same.
  private struct FoundLiteral {
    var steps: UInt64?
    var choice: FastPatternChoice.Choice?
  }

  private func findLiteral(_ draft: RuleDraft, _ place: TransactionPlace, _ found: inout FoundLiteral) {
    var steps: UInt64 = 0
    for (index, step) in draft.buffers.enumerated() where step.isBuffer {
      guard draft.isTransactional || step.exists(place.appProtocol, place.direction) else { continue }
      // A rule has fewer buffers than 64 (`RuleReader.buffersMax`).
      steps |= 1 << UInt64(index & 63)
    }
    guard found.steps != steps else { return }
    var programs: [(step: Int?, program: PayloadProgram, weight: Int)] = []
    for (index, step) in draft.buffers.enumerated() where steps & 1 << UInt64(index & 63) != 0 {
      programs.append((index, step.program, FastPatternChoice.weight(step.subject)))
    }
    found = FoundLiteral(steps: steps, choice: FastPatternChoice.best(programs))
    programs = []
    if let choice = found.choice, let index = choice.step, let content = choice.content {
      draft.buffers[index].program.orderLiterals(withoutContent: content)
    }
  }

  private mutating func addTransaction(
    _ draft: RuleDraft, _ rule: RuleIndex, _ place: TransactionPlace, _ found: inout FoundLiteral
  ) {
    let slot = RuleGroups.slot(place.appProtocol, place.direction)
    // Taken out while it is changed, or its tables would be copied for each rule.
    var plan = transactions.removeValue(forKey: slot) ?? TransactionPlan()
    defer { transactions[slot] = plan }
    findLiteral(draft, place, &found)
    guard let choice = found.choice, let index = choice.step, case .buffer(let buffer) = draft.buffers[index].subject
    else {
      let isOnEvent = draft.transactionConditions.contains { if case .event = $0 { true } else { false } }
      if isOnEvent { plan.events.append(rule) } else { plan.unconditional.append(rule) }
      return
    }
    let step = draft.buffers[index]
    // A rule over both directions is found in the one that has the literal's buffer.
    guard step.exists(place.appProtocol, place.direction) else { return }
    let scanned = buffer.original(place.appProtocol, place.direction)
    let key = ScanKey(buffer: scanned, transforms: step.program.transforms)
    let number = plan.numbers[key] ?? plan.scans.count
    if number == plan.scans.count {
      plan.numbers[key] = number
      plan.scans.append(ScanPlan(key: key, progress: [], isMultiple: false, isStreaming: step.isStreaming))
    }
    for source in step.sources
    where source.appProtocol == place.appProtocol && source.direction == place.direction {
      plan.scans[number].progress.insert(source.progress)
    }
    if step.isMultiple { plan.scans[number].isMultiple = true }
    plan.scans[number].table.add(choice.pattern, rule: rule)
  }

  // MARK: Finishing

  consuming func finish(threadCount: Int, cache: PatternCache?) -> Built {
    var jobs = PatternJobs()
    let packetPayload = self.packetPayload.map { packetTables($0, &jobs) }
    let stream = self.stream.indices.map { streamTables(self.stream[$0], $0, &jobs) }
    let streamByProtocol = self.streamByProtocol.sorted { $0.key < $1.key }.map {
      (slot: $0.key, tables: streamTables($0.value, $0.key & 1, &jobs, beside: self.stream[$0.key & 1].any))
    }
    let transactions = self.transactions.sorted { $0.key < $1.key }.map {
      (slot: $0.key, plan: $0.value, places: tablePlaces($0.value, &jobs))
    }
    groups.addresses = AddressIndexBuilder.build(addresses, addressSets)
    let outcome = jobs.run(threadCount: threadCount, cache: cache)
    groups.tables = outcome.tables
    groups.packetPayload = packetPayload.map { $0.group(outcome.tables) }
    groups.stream = stream.map { $0.group(outcome.tables) }
    for entry in streamByProtocol { groups.streamByProtocol[entry.slot] = entry.tables.group(outcome.tables) }
    for entry in transactions {
      groups.transactions[entry.slot] = TransactionGroup(
        scans: zip(entry.plan.scans, entry.places).compactMap { scan, place in
          guard let buffer = scan.key.buffer else { return nil }
          return BufferScan(
            buffer: buffer, transforms: scan.key.transforms, table: outcome.tables[place.table],
            member: place.member, isBatched: place.isShared, progress: scan.progress.sorted(), isMultiple: scan.isMultiple,
            isStreaming: scan.isStreaming)
        },
        unconditional: entry.plan.unconditional, events: entry.plan.events)
    }
    return Built(groups: groups, failures: outcome.failures)
  }

  /// Literals of a buffer that is there at once, up to which it shares a table with others: a table that
  /// is looked at for each of many short buffers is in the processor's cache, one of many tables is not.
  private static let sharedTableMax = 512

  private struct TablePlace {
    var table: Int
    /// The scan's number among those that share the table.
    var member: UInt8
    var isShared: Bool
  }

  /// Which table each scan of the plan has.
  private func tablePlaces(
    _ plan: TransactionPlan, _ jobs: inout PatternJobs
  ) -> [TablePlace] {
    var shared = PatternTablePlan()
    var sharerCount = 0
    // No table: the shared one, whose number is not known yet.
    var places: [(table: Int?, member: UInt8)] = []
    for scan in plan.scans {
      if scan.isStreaming {
        places.append((jobs.add(scan.table, for: .streams), 0))
      } else if scan.table.patterns.count > Self.sharedTableMax || sharerCount >= Int(UInt8.max) {
        places.append((jobs.add(scan.table, for: .wholes), 0))
      } else {
        let member = UInt8(truncatingIfNeeded: sharerCount)
        sharerCount += 1
        shared.add(scan.table, as: member)
        places.append((nil, member))
      }
    }
    let table = sharerCount > 0 ? jobs.add(shared, for: .wholes) : 0
    return places.map { TablePlace(table: $0.table ?? table, member: $0.member, isShared: $0.table == nil && sharerCount > 1) }
  }

  /// What is to become a ``PayloadGroup`` when its tables, named by their numbers, are compiled.
  private struct PayloadTables {
    var table: Int?
    var member: UInt8 = 0
    var isShared = false
    var portTables: [(port: UInt16, table: Int)] = []
    var unconditional: [RuleIndex]

    func group(_ tables: [PatternTable]) -> PayloadGroup {
      PayloadGroup(
        table: table.map { tables[$0] }, member: member, isShared: isShared, portTables: portTables.map { ($0.port, tables[$0.table]) },
        unconditional: unconditional)
    }
  }

  /// Literals of a protocol's rules on streams from which on its table holds those for any protocol as well. A
  /// scan for fewer costs little, and a table takes memory.
  private static let sharedStreamMin = 32

  private func packetTables(_ plan: PayloadPlan, _ jobs: inout PatternJobs) -> PayloadTables {
    var result = PayloadTables(unconditional: plan.unconditional)
    if !plan.any.isEmpty { result.table = jobs.add(plan.any, for: .packets) }
    addPortTables(plan, .packets, &jobs, to: &result)
    return result
  }

  /// - Parameters:
  ///   - direction: its index.
  ///   - general: of a protocol: what is looked for in streams of any.
  private func streamTables(
    _ plan: PayloadPlan, _ direction: Int, _ jobs: inout PatternJobs, beside general: PatternTablePlan? = nil
  ) -> PayloadTables {
    var result = PayloadTables(unconditional: plan.unconditional)
    result.member = general == nil ? TableMember.streams : TableMember.appProtocol
    if let general { result.isShared = !general.isEmpty && plan.any.patterns.count >= Self.sharedStreamMin }
    var table = PatternTablePlan()
    if groups.scansPacketsWithStreams, general == nil || result.isShared {
      table.add(packetPayload[PacketClass.tcp.rawValue * 2 + direction].any, as: TableMember.packets)
    }
    let use: PatternTableUse = table.isEmpty ? .streams : .streamsWithPackets
    if let general, result.isShared { table.add(general, as: TableMember.streams) }
    table.add(plan.any, as: result.member)
    if !table.isEmpty { result.table = jobs.add(table, for: use) }
    addPortTables(plan, .streams, &jobs, to: &result)
    return result
  }

  /// One table for each class of ports with the same narrow sets.
  private func addPortTables(
    _ plan: PayloadPlan, _ use: PatternTableUse, _ jobs: inout PatternJobs, to result: inout PayloadTables
  ) {
    var setsByPort: [UInt16: [UInt32]] = [:]
    for number in plan.narrow.keys.sorted() {
      for range in portSets[Int(number)].ranges {
        for port in range.low...range.high { setsByPort[port, default: []].append(number) }
      }
    }
    var tables: [[UInt32]: Int] = [:]
    for (port, sets) in setsByPort.sorted(by: { $0.key < $1.key }) {
      let known = tables[sets]
      let table = known ?? jobs.add(portPlan(plan, sets), for: use)
      if known == nil { tables[sets] = table }
      result.portTables.append((port, table))
    }
  }

  private func portPlan(_ plan: PayloadPlan, _ sets: [UInt32]) -> PatternTablePlan {
    var table = PatternTablePlan()
    let entries = sets.flatMap { plan.narrow[$0] ?? [] }.sorted { $0.rule < $1.rule }
    for entry in entries { table.add(entry.pattern, rule: entry.rule) }
    return table
  }
}
