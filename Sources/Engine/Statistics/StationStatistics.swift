import Inspection

/// What the stations of a path did, above all where a limit was met, under Suricata's names where it has them.
/// - Source: Suricata 8, EVE JSON format, "Event type: Stats".
struct StationStatistics: Sendable {
  private static let names = [
    "flow.active", "flow.memcap", "tcp.sessions", "tcp.midstream_pickups", "tcp.invalid_checksum", "tcp.syn",
    "tcp.synack", "tcp.rst", "tcp.overlap", "tcp.overlap_diff_data", "tcp.reassembly_gap", "tcp.reassembly_memuse",
    "tcp.segment_memcap_drop", "tcp.stream_depth_reached", "tcp.urgent_oob_data", "defrag.max_trackers_reached",
    "sluice.stream.limit_hits", "sluice.stream.history_trims", "sluice.stream.out_of_reach", "sluice.flow.pruned",
    "detect.alert_queue_overflow", "detect.alerts_suppressed", "sluice.detect.pending_overflow", "sluice.detect.scan_failures",
  ]

  private var values: [UInt64] = Array(repeating: 0, count: Self.names.count)
  private var faults: [DropReason: UInt64] = [:]

  /// Takes over what the stations count themselves.
  mutating func read(_ path: inout PacketPath) {
    let (flows, streams) = (path.flowCounters, path.reassemblyCounters)
    values[0] = flows.flowsActive
    values[1] = flows.memcapHits
    values[2] = flows.tcpSessions
    values[3] = flows.tcpMidstreamPickups
    values[4] = flows.tcpInvalidChecksum
    values[5] = flows.tcpSyn
    values[6] = flows.tcpSynAck
    values[7] = flows.tcpRst
    values[8] = streams.overlaps
    values[9] = streams.overlapsDifferent
    values[10] = streams.gaps
    values[11] = streams.heldBytes
    values[12] = streams.memcapHits
    values[13] = streams.streamsAtDepth
    values[14] = streams.urgentOctets
    values[15] = path.defragmenterCounters.evicted
    values[16] = streams.streamLimitHits
    values[17] = streams.historyTrims
    values[18] = streams.invalidSegments
    values[19] = flows.flowsPruned
    let detection = path.detectionCounters
    values[20] = detection.alertsDiscarded
    values[21] = detection.suppressed
    values[22] = detection.pendingOverflow
    values[23] = detection.scanFailures
    faults = path.counters.faults
  }

  static func += (left: inout Self, right: Self) {
    for index in left.values.indices { left.values[index] &+= right.values[index] }
    left.faults.merge(right.faults) { $0 &+ $1 }
  }

  /// By dotted names, always in the same order; of the faults also those that a policy let pass.
  var counters: [(name: String, value: UInt64)] {
    zip(Self.names, values).map { (name: $0, value: $1) }
      + DropReason.allCases.map { ("sluice.faults." + $0.counterName, faults[$0] ?? 0) }
  }
}

extension DropReason {
  var counterName: String { String(rawValue.map { $0 == " " ? "_" : $0 }) }
}
