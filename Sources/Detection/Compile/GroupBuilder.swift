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

    mutating func renumber(_ places: [RuleIndex?]) {
      any.renumber(places)
      narrow = narrow.mapValues { $0.compactMap { entry in places[Int(entry.rule)].map { (entry.pattern, $0) } } }
      unconditional = unconditional.compactMap { places[Int($0)] }.sorted()
    }
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

    mutating func renumber(_ places: [RuleIndex?]) {
      for index in scans.indices { scans[index].table.renumber(places) }
      unconditional = unconditional.compactMap { places[Int($0)] }.sorted()
      events = events.compactMap { places[Int($0)] }.sorted()
    }
  }

  private var groups = RuleGroups()
  private var packetPayload = Array(repeating: PayloadPlan(), count: PacketClass.countMax * 2)
  private var stream = Array(repeating: PayloadPlan(), count: 2)
  private var streamByProtocol: [Int: PayloadPlan] = [:]
  private var transactions: [Int: TransactionPlan] = [:]
  private var addresses: [(rule: RuleIndex, head: RuleHead)] = []

  /// - Parameters:
  ///   - rule: its index for now; `finish` is told which it has in the set.
  ///   - ports: the sets that its head names.
  mutating func add(_ draft: RuleDraft, as rule: RuleIndex, _ ports: SetNumbers<PortSet>) {
    switch draft.kind {
    case .addressOnly: addresses.append((rule, draft.head))
    case .packet: addPacket(draft, rule)
    case .payload: addPayload(draft, rule, ports)
    case .transaction:
      for (number, place) in draft.transactionPlaces.enumerated() {
        addTransaction(draft, rule, place, draft.literals.choice(place: number))
      }
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

  // Lists of all cases are made anew each time they are asked for.
  private static let allDirections = Array(Direction.allCases)
  private static let allProtocols = Array(AppProtocol.allCases)

  private func directions(_ draft: RuleDraft) -> [Direction] {
    Self.allDirections.filter { draft.allows($0) }
  }

  private mutating func addPacket(_ draft: RuleDraft, _ rule: RuleIndex) {
    for packetClass in Self.classes(draft.head.protocols) {
      for direction in directions(draft) {
        groups.packet[packetClass.rawValue * 2 + direction.index].append(rule)
      }
    }
  }

  private mutating func addPayload(_ draft: RuleDraft, _ rule: RuleIndex, _ sets: SetNumbers<PortSet>) {
    guard draft.payload != nil else { return }
    for direction in directions(draft) {
      let choice = draft.literals.choice(place: direction.index)
      let ports = serverPorts(draft.head, direction, sets)
      if !draft.head.appProtocols.isAny {
        for appProtocol in Self.allProtocols where draft.head.appProtocols.contains(appProtocol) {
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
  /// rare enough elsewhere, and one scan of more literals costs less than two of fewer. Not so those of a protocol whose
  /// messages begin all alike: they are many, and their ports are few.
  static func isForAllPorts(_ choice: FastPatternChoice.Choice) -> Bool {
    choice.score >= 12 && !choice.isBesideCommonStart
  }

  /// Ports in a set above which its rules are found without regard to the port.
  private static let narrowPortsMax = 64

  /// The set of server ports when it is narrow enough for tables of its own.
  private func serverPorts(_ head: RuleHead, _ direction: Direction, _ sets: SetNumbers<PortSet>) -> UInt32? {
    guard !head.isBothWays else { return nil }
    let number = direction == .toServer ? head.destinationPorts : head.sourcePorts
    guard number != 0 else { return nil }
    let count = sets.values[Int(number)].ranges.reduce(0) { $0 + Int($1.high) - Int($1.low) + 1 }
    return count <= Self.narrowPortsMax ? number : nil
  }

  // MARK: Transactions

  private mutating func addTransaction(
    _ draft: RuleDraft, _ rule: RuleIndex, _ place: TransactionPlace,
    _ choice: FastPatternChoice.Choice?
  ) {
    let slot = RuleGroups.slot(place.appProtocol, place.direction)
    // Taken out while it is changed, or its tables would be copied for each rule.
    var plan = transactions.removeValue(forKey: slot) ?? TransactionPlan()
    defer { transactions[slot] = plan }
    guard let choice, let index = choice.step, case .buffer(let buffer) = draft.buffers[index].subject
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

  /// - Parameters:
  ///   - places: what index each rule has in the set, nil for those that are not in it.
  ///   - scansPacketsWithStreams: streams are inspected with the packets that bring them.
  consuming func finish(
    _ places: [RuleIndex?], addresses sets: [AddressSet], ports: [PortSet], scansPacketsWithStreams: Bool,
    threadCount: Int, cache: PatternCache?
  ) -> Built {
    groups.scansPacketsWithStreams = scansPacketsWithStreams
    renumber(places)
    var jobs = PatternJobs()
    let packetPayload = self.packetPayload.map { packetTables($0, ports, &jobs) }
    let stream = self.stream.indices.map { streamTables(self.stream[$0], $0, ports, &jobs) }
    let streamByProtocol = self.streamByProtocol.sorted { $0.key < $1.key }.map {
      (slot: $0.key, tables: streamTables($0.value, $0.key & 1, ports, &jobs, beside: self.stream[$0.key & 1].any))
    }
    let transactions = self.transactions.sorted { $0.key < $1.key }.map {
      (slot: $0.key, plan: $0.value, places: tablePlaces($0.value, &jobs))
    }
    groups.addresses = AddressIndexBuilder.build(addresses, sets)
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

  private mutating func renumber(_ places: [RuleIndex?]) {
    func renumber(_ rules: inout [RuleIndex]) { rules = rules.compactMap { places[Int($0)] }.sorted() }
    for index in groups.packet.indices { renumber(&groups.packet[index]) }
    renumber(&groups.protocolFound)
    renumber(&groups.decodeEvents)
    renumber(&groups.streamEvents)
    renumber(&groups.flowEvents)
    renumber(&groups.frames)
    addresses = addresses.compactMap { entry in places[Int(entry.rule)].map { ($0, entry.head) } }
      .sorted { $0.rule < $1.rule }
    for index in packetPayload.indices { packetPayload[index].renumber(places) }
    for index in stream.indices { stream[index].renumber(places) }
    for slot in Array(streamByProtocol.keys) { streamByProtocol[slot]?.renumber(places) }
    for slot in Array(transactions.keys) { transactions[slot]?.renumber(places) }
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

  private func packetTables(_ plan: PayloadPlan, _ portSets: [PortSet], _ jobs: inout PatternJobs) -> PayloadTables {
    var result = PayloadTables(unconditional: plan.unconditional)
    if !plan.any.isEmpty { result.table = jobs.add(plan.any, for: .packets) }
    addPortTables(plan, .packets, portSets, &jobs, to: &result)
    return result
  }

  /// - Parameters:
  ///   - direction: its index.
  ///   - general: of a protocol: what is looked for in streams of any.
  private func streamTables(
    _ plan: PayloadPlan, _ direction: Int, _ portSets: [PortSet], _ jobs: inout PatternJobs,
    beside general: PatternTablePlan? = nil
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
    addPortTables(plan, .streams, portSets, &jobs, to: &result)
    return result
  }

  /// One table for each class of ports with the same narrow sets.
  private func addPortTables(
    _ plan: PayloadPlan, _ use: PatternTableUse, _ portSets: [PortSet], _ jobs: inout PatternJobs,
    to result: inout PayloadTables
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
