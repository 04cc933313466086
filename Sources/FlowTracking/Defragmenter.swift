import PacketDecoding
import Traffic

/// - Source: Suricata `defrag`, with its defaults where it has them.
public struct DefragmenterSettings: Sendable, Hashable {
  /// Datagrams waited for at once (`defrag.trackers`); at the limit the oldest is given up.
  public var datagramCountMax = 65_535
  /// Fragments of one datagram; more are refused. The smallest MTU (68) needs 1,366 for the
  /// largest datagram.
  public var fragmentsPerDatagramMax = 1_400
  /// Octets of one datagram's fragments, those sent again included; more are refused.
  public var datagramBytesMax = 4 * 65_535
  /// Octets held for all datagrams (`defrag.memcap`); at the limit the oldest are given up.
  public var memcapBytes = 32 << 20
  /// From the first fragment on (`defrag.timeout`; RFC 8200 section 4.5 says 60 too).
  public var timeoutSeconds: Int64 = 60
  public var usesVLAN = true

  public init() {}
}

public struct DefragmenterCounters: Sendable, Hashable {
  public var fragments: UInt64 = 0
  public var reassembledIPv4: UInt64 = 0
  public var reassembledIPv6: UInt64 = 0
  public var timeouts: UInt64 = 0
  public var overlaps: UInt64 = 0
  public var tooLarge: UInt64 = 0
  /// Fragments that could not be used (cut off, contradictory, beyond a limit).
  public var rejected: UInt64 = 0
  /// Datagrams given up for `datagramCountMax` or `memcapBytes`.
  public var evicted: UInt64 = 0
  /// Fragments refused because `memcapBytes` leave no room for them.
  public var memcapHits: UInt64 = 0
  public var heldBytes: UInt64 = 0
  public var heldBytesMax: UInt64 = 0
  /// Datagrams waited for at the same time.
  public var datagramsMax: UInt64 = 0

  public init() {}
}

/// What became of a fragment.
public struct DefragmentResult: Sendable {
  public enum Outcome: UInt8, Sendable {
    /// More fragments are needed.
    case held
    /// The datagram is complete: ``Defragmenter/reassembled`` has it until the next call.
    case reassembled
    /// The fragment is of no use; `events` say why.
    case rejected
    /// There is no memory for it, though all other datagrams were given up.
    case noRoom
  }

  public var outcome: Outcome
  public var events = DecodeEventSet()
}

/// Puts IPv4 and IPv6 fragments together.
///
/// - Source: RFC 791 section 3.2, RFC 8200 section 4.5; Suricata `defrag`.
/// - Limits: see ``DefragmenterSettings``.
/// - Complexity: O(n) in the datagram's stretches; O(n²) in its fragments only where they overlap.
public struct Defragmenter: ~Copyable {
  public let settings: DefragmenterSettings
  public private(set) var counters = DefragmenterCounters()
  private var trackers: [FragmentTracker] = []
  private var free: [Int] = []
  private var places: [FragmentKey: Int] = [:]
  private var oldest = -1
  private var newest = -1
  private var heldBytes = 0
  private var output: [UInt8] = []
  private var scratch: [UInt8] = []

  public init(settings: DefragmenterSettings = DefragmenterSettings()) { self.settings = settings }

  /// Datagrams waited for now.
  public var count: Int { places.count }

  /// The datagram of the last call that answered `.reassembled`, from its IP header on, without
  /// fragment fields: decode it as `LinkType.raw`. VLANs are those of its fragments.
  public var reassembled: RawSpan {
    @_lifetime(borrow self)
    get { output.rawSpan }
  }

  /// Takes a fragment (`packet.isFragment`).
  ///
  /// - Parameter bytes: what `packet` was decoded from.
  /// - Parameter policy: of the system the fragment goes to; that of the first fragment counts.
  public mutating func add(
    _ packet: borrowing DecodedPacket, _ bytes: RawSpan, policy: FragmentPolicy
  ) -> DefragmentResult {
    var result = DefragmentResult(outcome: .rejected)
    counters.fragments &+= 1
    let isIPv6 = packet.ipVersion == 6
    guard let part = isIPv6 ? FragmentPart(ipv6: packet, bytes) : FragmentPart(ipv4: packet, bytes)
    else {
      counters.rejected &+= 1
      result.events.insert(isIPv6 ? .ipv6FragmentIgnored : .ipv4FragmentIgnored)
      return result
    }
    // The datagram's length field has 16 bits, for IPv4 headers included.
    guard part.range.upperBound &+ part.headerCountedIn <= 65_535 else {
      counters.tooLarge &+= 1
      result.events.insert(isIPv6 ? .ipv6FragmentTooLarge : .ipv4FragmentTooLarge)
      return result
    }
    guard let place = tracker(for: key(packet), policy, packet.time, room: part.data.count) else {
      counters.memcapHits &+= 1
      result.outcome = .noRoom
      return result
    }
    guard trackers[place].fragmentCount < settings.fragmentsPerDatagramMax,
      trackers[place].byteCount &+ part.data.count <= settings.datagramBytesMax
    else { return ignore(&result, isIPv6) }
    let before = trackers[place].byteCount
    let insertion = trackers[place].insert(
      part.range, isLast: part.isLast, bytes.extracting(part.data))
    if insertion == .contradictory {
      if trackers[place].covers(part.range) { noteOverlap(&result, isIPv6) }
      return ignore(&result, isIPv6)
    }
    if part.range.lowerBound == 0 {
      trackers[place].keepHeader(
        bytes.extracting(part.header),
        nextHeader: isIPv6 ? (part.nextHeaderOffset, part.nextHeader) : nil)
    }
    noteHeld(trackers[place].byteCount &- before)
    if insertion == .overlapping { noteOverlap(&result, isIPv6) }
    result.outcome = .held
    if trackers[place].isComplete {
      let isBuilt = build(place, isIPv6: isIPv6)
      release(place)
      result.outcome = isBuilt ? .reassembled : .rejected
      if !isBuilt {
        counters.tooLarge &+= 1
        result.events.insert(isIPv6 ? .ipv6FragmentTooLarge : .ipv4FragmentTooLarge)
      }
    }
    return result
  }

  /// Gives up datagrams whose first fragment came longer ago than the timeout. A datagram that is too old is
  /// also given up when a fragment of it comes, so that a call each second will do.
  ///
  /// All are looked at: captures may run backwards, so that an older one may stand behind a newer.
  /// - Complexity: O(n) in the datagrams waited for.
  public mutating func expire(now: Timestamp) {
    var place = oldest
    while place >= 0 {
      let newer = trackers[place].newer
      if isOver(place, now) {
        counters.timeouts &+= 1
        release(place)
      }
      place = newer
    }
  }

  private func isOver(_ place: Int, _ now: Timestamp) -> Bool {
    now.seconds(since: trackers[place].firstTime) >= settings.timeoutSeconds
  }

  private mutating func noteOverlap(_ result: inout DefragmentResult, _ isIPv6: Bool) {
    counters.overlaps &+= 1
    result.events.insert(isIPv6 ? .ipv6FragmentOverlap : .ipv4FragmentOverlap)
  }

  private mutating func ignore(
    _ result: inout DefragmentResult, _ isIPv6: Bool
  ) -> DefragmentResult {
    counters.rejected &+= 1
    result.events.insert(isIPv6 ? .ipv6FragmentIgnored : .ipv4FragmentIgnored)
    return result
  }

  private func key(_ packet: borrowing DecodedPacket) -> FragmentKey {
    FragmentKey(
      source: packet.source, destination: packet.destination, identification: packet.fragmentID,
      ipProtocol: packet.ipVersion == 6 ? 0 : packet.ipProtocol,
      vlan: settings.usesVLAN ? packet.vlanKey : 0)
  }
}

// MARK: - Datagrams waited for

extension Defragmenter {
  private mutating func tracker(
    for key: FragmentKey, _ policy: FragmentPolicy, _ time: Timestamp, room: Int
  ) -> Int? {
    if let place = places[key] {
      if !isOver(place, time) { return makeRoom(room, sparing: place) ? place : nil }
      counters.timeouts &+= 1
      release(place)
    }
    guard makeRoom(room, sparing: -1) else { return nil }
    while places.count >= max(1, settings.datagramCountMax) { evictOldest() }
    let place: Int
    if let reused = free.popLast() {
      place = reused
      trackers[place].reuse(key: key, policy: policy, firstTime: time)
    } else {
      place = trackers.count
      trackers.append(FragmentTracker(key: key, policy: policy, firstTime: time))
    }
    places[key] = place
    trackers[place].older = newest
    trackers[place].newer = -1
    if newest >= 0 { trackers[newest].newer = place } else { oldest = place }
    newest = place
    counters.datagramsMax = max(counters.datagramsMax, UInt64(places.count))
    return place
  }

  /// - Returns: whether so many octets fit, now that older datagrams were given up for them.
  private mutating func makeRoom(_ count: Int, sparing place: Int) -> Bool {
    while heldBytes &+ count > settings.memcapBytes, oldest >= 0, oldest != place { evictOldest() }
    return heldBytes &+ count <= settings.memcapBytes
  }

  private mutating func evictOldest() {
    guard oldest >= 0 else { return }
    counters.evicted &+= 1
    release(oldest)
  }

  private mutating func release(_ place: Int) {
    let tracker = trackers[place]
    if tracker.older >= 0 { trackers[tracker.older].newer = tracker.newer } else { oldest = tracker.newer }
    if tracker.newer >= 0 { trackers[tracker.newer].older = tracker.older } else { newest = tracker.older }
    places[tracker.key] = nil
    noteHeld(0 &- tracker.byteCount)
    free.append(place)
  }

  private mutating func noteHeld(_ change: Int) {
    heldBytes &+= change
    counters.heldBytes = UInt64(clamping: heldBytes)
    counters.heldBytesMax = max(counters.heldBytesMax, counters.heldBytes)
  }
}

// MARK: - The whole datagram

extension Defragmenter {
  private mutating func build(_ place: Int, isIPv6: Bool) -> Bool {
    output.removeAll(keepingCapacity: true)
    output.append(contentsOf: trackers[place].header)
    trackers[place].assemble(into: &output, scratch: &scratch)
    let isBuilt = isIPv6 ? mendIPv6() : mendIPv4(headerCount: trackers[place].header.count)
    if isBuilt, isIPv6 { counters.reassembledIPv6 &+= 1 } else if isBuilt { counters.reassembledIPv4 &+= 1 }
    return isBuilt
  }

  /// Total length, no fragment fields, a right checksum.
  private mutating func mendIPv4(headerCount: Int) -> Bool {
    guard output.count <= 65_535, headerCount >= 20 else { return false }
    output[2] = UInt8(truncatingIfNeeded: output.count >> 8)
    output[3] = UInt8(truncatingIfNeeded: output.count)
    output[6] = 0
    output[7] = 0
    output[10] = 0
    output[11] = 0
    var sum: UInt32 = 0
    for offset in stride(from: 0, to: headerCount &- 1, by: 2) {
      sum &+= UInt32(output[offset]) << 8 | UInt32(output[offset &+ 1])
    }
    while sum > 0xffff { sum = (sum & 0xffff) &+ (sum >> 16) }
    output[10] = UInt8(truncatingIfNeeded: ~sum >> 8)
    output[11] = UInt8(truncatingIfNeeded: ~sum)
    return true
  }

  private mutating func mendIPv6() -> Bool {
    let count = output.count &- 40
    guard count >= 0, count <= 65_535 else { return false }
    output[4] = UInt8(truncatingIfNeeded: count >> 8)
    output[5] = UInt8(truncatingIfNeeded: count)
    return true
  }
}
