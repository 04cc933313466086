import Traffic

// The memory of what is held, and of what was delivered and is remembered.

extension StreamReassembler {
  mutating func holdIndex(_ stream: Int) -> Int {
    if streams[stream].hold != StreamCore.noHold { return Int(streams[stream].hold) }
    let index: UInt32
    if let free = freeHolds.popLast() {
      index = free
      notePooled(0 &- holds[Int(free)].arena.capacity)
    } else {
      index = UInt32(holds.count)
      holds.append(HeldStream())
    }
    streams[stream].hold = index
    return Int(index)
  }

  mutating func releaseHold(_ stream: Int) {
    guard streams[stream].hold != StreamCore.noHold else { return }
    let hold = Int(streams[stream].hold)
    noteHeld(0 &- holds[hold].arena.count)
    let kept = min(HeldStream.arenaKeptBytes, settings.pooledBytesMax &- pooledBytes)
    if let room = holds[hold].clear(keeping: kept) { keep(room) }
    notePooled(holds[hold].arena.capacity)
    freeHolds.append(streams[stream].hold)
    streams[stream].hold = StreamCore.noHold
    streams[stream].historyStart = streams[stream].position
  }

  /// Lends a large arena to a stream that is about to hold so much.
  mutating func lendRoom(_ hold: Int, for count: Int) {
    guard holds[hold].isTooSmall(for: count) else { return }
    var room = rooms.popLast() ?? []
    notePooled(0 &- room.capacity)
    // Twice as much each time: what exactly is needed would be too little for the next segment already.
    room.reserveCapacity(max(Self.roomBytes, 2 &* holds[hold].arena.capacity, holds[hold].arena.count &+ count))
    if let former = holds[hold].move(into: room) { keep(former) }
  }

  private mutating func keep(_ room: [UInt8]) {
    guard room.capacity > HeldStream.arenaKeptBytes, pooledBytes &+ room.capacity <= settings.pooledBytesMax else {
      return
    }
    notePooled(room.capacity)
    rooms.append(room)
  }

  private mutating func discard(_ stream: Int, before position: Int64) {
    streams[stream].historyStart = max(streams[stream].historyStart, position)
    guard streams[stream].hold != StreamCore.noHold else { return }
    let hold = Int(streams[stream].hold)
    let before = holds[hold].arena.count
    holds[hold].discard(before: position, spare: &spare)
    noteHeld(holds[hold].arena.count &- before)
    if holds[hold].isEmpty { releaseHold(stream) }
  }

  /// Delivered bytes are of no more use (or there is no room for them).
  mutating func forgetHistory(_ stream: Int) {
    discard(stream, before: streams[stream].position)
  }

  /// Delivered and acknowledged: nobody can replace them now.
  mutating func forgetAcknowledged(_ stream: Int) {
    let core = streams[stream]
    discard(stream, before: min(core.position, core.acknowledged))
  }

  mutating func trimHistory(_ stream: Int) {
    let core = streams[stream]
    let kept = core.position &- core.historyStart
    guard kept > Int64(settings.historyBytesMax) else { return }
    counters.historyTrims &+= 1
    // Half at once, so that trimming is not paid for with each segment.
    discard(stream, before: core.position &- Int64(settings.historyBytesMax / 2))
  }

  private mutating func notePooled(_ change: Int) {
    pooledBytes &+= change
    counters.pooledBytes = UInt64(clamping: pooledBytes)
  }

  mutating func noteHeld(_ change: Int) {
    heldBytes &+= change
    counters.heldBytes = UInt64(clamping: heldBytes)
    counters.heldBytesMax = max(counters.heldBytesMax, counters.heldBytes)
  }
}
