import Inspection

/// What a packet path has done, under Suricata's names for counters.
/// - Source: Suricata 8, EVE JSON format, "Event type: Stats".
struct TrafficStatistics: Sendable {
  var packets: UInt64 = 0
  /// Octets from the first header on.
  var bytes: UInt64 = 0
  /// Packets without an IP header that could be read.
  var undecoded: UInt64 = 0
  var flows: UInt64 = 0
  var alerts: UInt64 = 0
  var accepted: UInt64 = 0
  /// Packets that were stopped, refused ones among them.
  var blocked: UInt64 = 0
  var rejected: UInt64 = 0
  /// Times that memory was not enough, for a fragment or a TCP session.
  private(set) var memcapHits = MemcapHits()
  /// Stopped packets by reason.
  private(set) var reasons: [DropReason: UInt64] = [:]
  private var stations = StationStatistics()

  /// Counts what became of a packet.
  mutating func note(_ verdict: PacketVerdict) {
    guard verdict.isStopped else {
      accepted &+= 1
      return
    }
    blocked &+= 1
    if verdict.verdict == .reject { rejected &+= 1 }
    if let reason = verdict.reason { reasons[reason, default: 0] &+= 1 }
  }

  /// Takes over what the path itself counts.
  mutating func read(_ path: inout PacketPath) {
    packets = path.counters.packets
    bytes = path.counters.bytes
    undecoded = path.counters.undecoded
    flows = path.flowCount
    alerts = path.alertCount
    stations.read(&path)
    memcapHits = path.memcapHits
  }

  static func += (left: inout Self, right: Self) {
    left.packets &+= right.packets
    left.bytes &+= right.bytes
    left.undecoded &+= right.undecoded
    left.flows &+= right.flows
    left.alerts &+= right.alerts
    left.accepted &+= right.accepted
    left.blocked &+= right.blocked
    left.rejected &+= right.rejected
    left.memcapHits += right.memcapHits
    left.reasons.merge(right.reasons) { $0 &+ $1 }
    left.stations += right.stations
  }

  /// By dotted names, always in the same order.
  var counters: [(name: String, value: UInt64)] {
    [
      ("decoder.pkts", packets), ("decoder.bytes", bytes), ("decoder.invalid", undecoded),
      ("flow.total", flows), ("detect.alert", alerts), ("ips.accepted", accepted),
      ("ips.blocked", blocked), ("ips.rejected", rejected),
      ("defrag.memcap", memcapHits.fragments), ("tcp.ssn_memcap_drop", memcapHits.sessions),
    ]
      + DropReason.allCases.map { ("ips.drop_reason." + $0.counterName, reasons[$0] ?? 0) } + stations.counters
  }
}
