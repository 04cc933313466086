import AppLayer
import Traffic

// Which rules come into question for a transaction, by the literals in its buffers.

extension Detector {
  /// Scans what is new in a transaction, and adds the rules whose literals were seen to those that are to be tried.
  mutating func findCandidates(
    _ transaction: Transaction, _ direction: Direction, _ group: TransactionGroup,
    _ state: inout TransactionInspection.DirectionState,
    _ inspection: TransactionInspection
  ) {
    candidates.removeAll(keepingCapacity: true)
    if !state.hasStarted {
      state.hasStarted = true
      candidates += group.unconditional
      state.scans.reserveCapacity(group.scans.count)
      while state.scans.count < group.scans.count {
        state.scans.append(TransactionInspection.ScanState())
      }
    }
    if transaction.events.count > state.eventCount {
      state.eventCount = transaction.events.count
      candidates += group.events
    }
    let progress = transaction.progress(direction)
    if progress > state.scannedProgress {
      let scans = group.scans
      for index in scans.indices { scan(scans[index], transaction, direction, progress, &state.scans[index]) }
      state.scannedProgress = progress
    } else {
      // Only what grows can hold something new.
      for index in group.growing {
        scan(group.scans[index], transaction, direction, progress, &state.scans[index])
      }
    }
    scanBatch()
    sortCandidates()
    guard !candidates.isEmpty else { return }
    state.insert(candidates)
    let heads = ruleSet.heads
    for rule in candidates where heads[Int(rule)].isTransactional { inspection[direction.opposite].insert([rule]) }
  }

  private mutating func scan(
    _ scan: BufferScan, _ transaction: Transaction, _ direction: Direction, _ progress: Int,
    _ state: inout TransactionInspection.ScanState
  ) {
    let reached = scan.reachedCount(progress)
    guard reached > 0, scan.isStreaming || reached > state.progressCount else { return }
    state.progressCount = reached
    guard scan.isStreaming else {
      var index = 0
      while let view = transaction.buffer(scan.buffer, direction, index: index) {
        collect(view, scan)
        index &+= 1
        if !scan.isMultiple { break }
      }
      return
    }
    // Each instance is scanned from where the last call left off.
    if state.isClosed, !scan.isMultiple { return }
    while let view = transaction.buffer(scan.buffer, direction, index: state.instance) {
      collectNew(view, scan, &state)
      guard scan.isMultiple, view.isComplete,
        transaction.buffer(scan.buffer, direction, index: state.instance &+ 1) != nil
      else { return }
      state.instance &+= 1
      state.scannedTo = 0
      state.isClosed = false
    }
  }

  private mutating func collect(_ view: BufferView, _ scan: BufferScan) {
    let bytes = view.storage.rawSpan.extracting(view.range)
    guard !scan.transforms.isEmpty else {
      return collect(bytes, offset: view.offset, isComplete: view.isComplete, scan)
    }
    var result = transform(bytes, scan.transforms)
    defer { giveBack(&result) }
    collect(result.rawSpan, offset: 0, isComplete: true, scan)
  }

  /// Puts a short buffer that shares its table with others beside those that wait; scans any other.
  private mutating func collect(
    _ bytes: RawSpan, offset: UInt64, isComplete: Bool, _ scan: BufferScan
  ) {
    guard scan.isBatched, bytes.byteCount > 0, !isPrefilterOff else {
      return collectCandidates(
        scan.table, bytes, offset: offset, isComplete: isComplete, members: scan.member...scan.member)
    }
    if batch.isFull(for: bytes) { scanBatch() }
    guard batch.add(bytes, offset: offset, member: scan.member, isComplete: isComplete) else {
      return collectCandidates(
        scan.table, bytes, offset: offset, isComplete: isComplete, members: scan.member...scan.member)
    }
    if batchTable == nil { batchTable = scan.table }
  }

  /// Scans the buffers that wait. Those of one direction of a protocol share one table.
  private mutating func scanBatch() {
    guard let table = batchTable else { return }
    batchTable = nil
    for part in table.parts.indices {
      guard scanner.scan(table, part: part, batch) else {
        counters.scanFailures &+= 1
        addAll(table, 0...UInt8.max)
        break
      }
      for index in 0..<scanner.hitCount {
        let pattern = scanner.hit(index)
        for rule in Int(table.starts[pattern])..<Int(table.starts[pattern &+ 1]) { candidates.append(table.rules[rule]) }
      }
    }
    batch.clear()
  }

  private mutating func collectNew(
    _ view: BufferView, _ scan: BufferScan,
    _ state: inout TransactionInspection.ScanState
  ) {
    guard !state.isClosed else { return }
    state.isClosed = view.isComplete
    let end = view.offset &+ UInt64(view.count)
    let scannedTo = state.scannedTo
    state.scannedTo = end
    guard scan.transforms.isEmpty else {
      // What a transform makes of the whole cannot be had from its parts.
      if end > scannedTo || view.isComplete { collect(view, scan) }
      return
    }
    let new = scannedTo > view.offset ? Int(min(scannedTo &- view.offset, UInt64(view.count))) : 0
    // At the end the last piece is looked at once more, for literals that must stand there.
    let newFrom = view.isComplete ? max(0, min(new, view.count &- scan.table.longest)) : new
    if newFrom < view.count {
      let bytes = view.storage.rawSpan.extracting(view.range)
      collectCandidates(
        scan.table, bytes, newFrom: newFrom, offset: view.offset, isComplete: view.isComplete)
    }
  }
}
