import PacketDecoding
import Traffic

// Where records lie, and how they are found.

extension FlowTable {
  mutating func insert(
    _ key: FlowTuple, _ keyHash: UInt32, _ packet: borrowing DecodedPacket, _ time: Timestamp
  ) -> FlowIndex {
    if (liveCount &+ 1) &* 2 > slots.count { growIndex() }
    var flow = Flow(
      tuple: key, flowID: flowID(nextNumber), startTime: time, lastTime: time,
      ipVersion: packet.ipVersion)
    nextNumber &+= 1
    flow.vlan0 = packet.vlan0
    flow.vlan1 = packet.vlan1
    flow.vlanCount = packet.vlanCount
    let index = place(flow)
    occupy(UInt64(keyHash) << 32 | UInt64(index.rawValue &+ 1))
    wheel.link(index, &links, dueSecond: dueTime(index).seconds &+ 1)
    liveCount &+= 1
    counters.flowsCreated &+= 1
    counters.flowsActive = UInt64(liveCount)
    counters.flowsActiveMax = max(counters.flowsActiveMax, counters.flowsActive)
    return index
  }

  mutating func place(_ flow: Flow) -> FlowIndex {
    guard freeHead == .none else {
      let index = freeHead
      freeHead = links[index.index].next
      flows[index.index] = flow
      sessions[index.index] = TCPSession()
      links[index.index] = FlowLink(isLive: true)
      return index
    }
    let index = FlowIndex(rawValue: UInt32(flows.count))
    flows.append(flow)
    sessions.append(TCPSession())
    links.append(FlowLink(isLive: true))
    return index
  }

  /// An odd multiplier permutes the 53-bit numbers, so that no two flows share an identifier.
  private func flowID(_ number: UInt64) -> UInt64 {
    (number &* 0x9e37_79b9_7f4a_7c15 &+ settings.seed) & 0x1f_ffff_ffff_ffff
  }

  mutating func find(_ key: FlowTuple, _ keyHash: UInt32) -> (FlowIndex, Direction)? {
    let mask = slots.count &- 1
    var slot = Int(keyHash) & mask
    // Ends: at most half of the slots are occupied.
    while slots[slot] != 0 {
      if UInt32(truncatingIfNeeded: slots[slot] >> 32) == keyHash {
        let index = FlowIndex(rawValue: UInt32(truncatingIfNeeded: slots[slot]) &- 1)
        let tuple = flows[index.index].tuple
        if tuple == key { return (index, .toServer) }
        if tuple == key.reversed { return (index, FlowKey.hasDirections(tuple.ipProtocol) ? .toClient : .toServer) }
      }
      slot = (slot &+ 1) & mask
    }
    return nil
  }

  private mutating func occupy(_ entry: UInt64) {
    let mask = slots.count &- 1
    var slot = Int(entry >> 32) & mask
    while slots[slot] != 0 { slot = (slot &+ 1) & mask }
    slots[slot] = entry
  }

  private mutating func growIndex() {
    let old = slots
    slots = [UInt64](repeating: 0, count: old.count &* 2)
    for entry in old where entry != 0 { occupy(entry) }
  }

  /// Closes the hole by moving later entries of the run towards their home slots.
  mutating func removeFromIndex(_ key: FlowTuple, _ index: FlowIndex) {
    let mask = slots.count &- 1
    let entry = UInt64(hash(key)) << 32 | UInt64(index.rawValue &+ 1)
    var hole = Int(entry >> 32) & mask
    while slots[hole] != entry {
      if slots[hole] == 0 { return }
      hole = (hole &+ 1) & mask
    }
    var next = (hole &+ 1) & mask
    while slots[next] != 0 {
      let home = Int(slots[next] >> 32) & mask
      if (next &- home) & mask >= (next &- hole) & mask {
        slots[hole] = slots[next]
        hole = next
      }
      next = (next &+ 1) & mask
    }
    slots[hole] = 0
  }
}
