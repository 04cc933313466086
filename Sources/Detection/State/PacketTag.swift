import PacketDecoding
import Traffic

/// A `tag` in force on a flow or a host.
///
/// - Source: Suricata "Tag": the packet of the match counts, and is told of by its alert.
/// - Limits: ``perHolderMax`` on one flow or host; a rule that matches again starts its tag anew, at most
///   ``renewalsMax`` times, so that nobody can keep one up for ever.
struct PacketTag: Sendable {
  static let perHolderMax = 50
  static let renewalsMax = 10

  var gid: UInt32
  var sid: UInt32
  var unit: TagAction.Unit
  var limit: UInt64
  var count: UInt64 = 0
  var start: Timestamp
  var renewals = 0
  /// The packet of the match has gone by.
  var hasBegun = false

  init(_ action: TagAction, gid: UInt32, sid: UInt32, at time: Timestamp) {
    self.gid = gid
    self.sid = sid
    unit = action.unit
    limit = action.count
    start = time
  }

  /// Counts a packet.
  /// - Returns: whether it is to be told of; nil when the tag is over.
  mutating func take(octets: Int, at time: Timestamp) -> Bool? {
    switch unit {
    case .packets: count &+= 1
    case .octets: count &+= UInt64(clamping: octets)
    case .seconds: count = UInt64(clamping: time.seconds &- start.seconds)
    }
    guard hasBegun else {
      hasBegun = true
      return false
    }
    return count > limit ? nil : true
  }
}

extension [PacketTag] {
  mutating func begin(_ action: TagAction, gid: UInt32, sid: UInt32, at time: Timestamp) {
    if let known = firstIndex(where: { $0.gid == gid && $0.sid == sid }) {
      self[known].renewals += 1
      guard self[known].renewals < PacketTag.renewalsMax else { return }
      self[known].count = 0
      self[known].start = time
    } else if count < PacketTag.perHolderMax {
      append(PacketTag(action, gid: gid, sid: sid, at: time))
    }
  }

  /// Counts a packet on all of them, and drops those that are over.
  /// - Returns: whether one of them asks for the packet to be told of.
  mutating func take(octets: Int, at time: Timestamp) -> Bool {
    var isTagged = false
    var index = 0
    while index < count {
      if let asks = self[index].take(octets: octets, at: time) {
        isTagged = isTagged || asks
        index += 1
      } else {
        remove(at: index)
      }
    }
    return isTagged
  }
}

extension Detector {
  /// Puts a rule's tags on the flow or on the hosts of the packet that it matched.
  mutating func beginTags(_ body: RuleBody, _ info: RuleInfo, _ ends: PacketEnds, _ state: FlowDetection?) {
    for tag in body.tags {
      switch tag.scope {
      case .session: state?.tags.begin(tag, gid: info.gid, sid: info.sid, at: ends.time)
      case .source: shared.beginTag(tag, info, on: ends.source, at: ends.time)
      case .destination: shared.beginTag(tag, info, on: ends.destination, at: ends.time)
      }
    }
  }

  /// Whether a packet is to be told of because of a `tag` on its flow or on one of its hosts; counts it.
  public mutating func takesTag(_ packet: borrowing DecodedPacket, octets: Int, state: FlowDetection?) -> Bool {
    var isTagged = false
    if let state, !state.tags.isEmpty { isTagged = state.tags.take(octets: octets, at: packet.time) }
    guard shared.hasHostTags, packet.ipVersion != 0 else { return isTagged }
    for address in [packet.source, packet.destination] {
      if shared.takeTag(on: address, octets: octets, at: packet.time) { isTagged = true }
    }
    return isTagged
  }
}

extension SharedDetectionState {
  /// Without a packet of the host for this long a tag is forgotten.
  private static var tagLifeSeconds: Int64 { 3600 }

  private static func expiry(_ time: Timestamp) -> Timestamp {
    Timestamp(nanoseconds: time.nanoseconds &+ tagLifeSeconds &* 1_000_000_000)
  }

  func beginTag(_ tag: TagAction, _ info: RuleInfo, on host: IPAddress, at time: Timestamp) {
    // Whether a packet is told of then depends on all packets of the host before it, and each would have to wait.
    turn?.refuse("a rule has put a tag on a host")
    noteHostTag()
    hostTags.update(host, at: time) { tags in
      var changed = tags ?? []
      changed.begin(tag, gid: info.gid, sid: info.sid, at: time)
      tags = changed
      return (Self.expiry(time), ())
    }
  }

  func takeTag(on host: IPAddress, octets: Int, at time: Timestamp) -> Bool {
    hostTags.update(host, at: time) { tags in
      guard var changed = tags else { return (time, false) }
      let isTagged = changed.take(octets: octets, at: time)
      tags = changed.isEmpty ? nil : changed
      return (Self.expiry(time), isTagged)
    }
  }
}
