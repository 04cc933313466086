/// What TCP tracking and stream reassembly found odd in a packet; rules match them by
/// `stream-event`.
///
/// Declared here so that rules can name what the stations above this one find.
/// - Source: the event names that Suricata 8 lists for the `stream-event` keyword.
public enum StreamEvent: UInt8, Sendable, CaseIterable {
  // The handshake
  case handshakeAckInWrongDirection, handshakeAsyncWrongSequence
  case handshakeRightSequenceWrongAckEvasion, handshakeSynAckInWrongDirection
  case handshakeSynAckResendWithDifferentAck, handshakeSynAckResendWithDifferentSequence
  case handshakeSynAckToServerOnSynReceived, handshakeSynAckWithWrongAck, handshakeSynAckFlood
  case handshakeSynAckFastOpenDataIgnored, handshakeSynFlood
  case handshakeSynResendDifferentSequenceOnSynReceived, handshakeSynToClientOnSynReceived
  case handshakeWrongSequenceWrongAck, handshakeAckDataInject, fourWaySynAckWithWrongAck
  case fourWaySynAckWithWrongSyn, fourWayWrongSequence, fourWayInvalidAck
  // Established
  case establishedSynAckToServer, establishedSynAckResend
  case establishedSynAckResendWithDifferentAck, establishedSynAckResendWithDifferentSequence
  case establishedSynToClient, establishedSynResend, establishedSynResendDifferentSequence
  case establishedPacketOutOfWindow, establishedPacketBeforeLastAck, establishedInvalidAck
  case establishedZeroWindowProbeData
  // Closing
  case finInvalidAck, finOutOfWindow, finWait1AckWrongSequence, finWait1FinWrongSequence
  case finWait1InvalidAck, finWait2AckWrongSequence, finWait2FinWrongSequence
  case finWait2InvalidAck, closeWaitAckOutOfWindow, closeWaitFinOutOfWindow
  case closeWaitPacketBeforeLastAck, closeWaitInvalidAck, closingAckWrongSequence
  case closingInvalidAck, lastAckAckWrongSequence, lastAckInvalidAck, timeWaitAckWrongSequence
  case timeWaitInvalidAck, shutdownSynResend
  // Any state
  case finButNoSession, rstButNoSession, rstInvalidAck, rstWithData, suspectedRstInject, finSyn
  case packetInvalidTimestamp, packetInvalidAck, packetBrokenAck, packetBadWindowUpdate
  case packetRetransmission, packetSpuriousRetransmission, wrongThread
  // Reassembly
  case reassemblySegmentBeforeBaseSequence, reassemblyNoSegment, reassemblySequenceGap
  case reassemblyOverlapDifferentData, reassemblyDepthReached, reassemblyUrgentLimitReached
  case reassemblyInsertMemcap, reassemblyInsertLimit, reassemblyInsertInvalid

  /// The event as rules write it after `stream-event:`.
  public var ruleName: String {
    switch self {
    case .handshakeAckInWrongDirection: "3whs_ack_in_wrong_dir"
    case .handshakeAsyncWrongSequence: "3whs_async_wrong_seq"
    case .handshakeRightSequenceWrongAckEvasion: "3whs_right_seq_wrong_ack_evasion"
    case .handshakeSynAckInWrongDirection: "3whs_synack_in_wrong_direction"
    case .handshakeSynAckResendWithDifferentAck: "3whs_synack_resend_with_diff_ack"
    case .handshakeSynAckResendWithDifferentSequence: "3whs_synack_resend_with_diff_seq"
    case .handshakeSynAckToServerOnSynReceived: "3whs_synack_toserver_on_syn_recv"
    case .handshakeSynAckWithWrongAck: "3whs_synack_with_wrong_ack"
    case .handshakeSynAckFlood: "3whs_synack_flood"
    case .handshakeSynAckFastOpenDataIgnored: "3whs_synack_tfo_data_ignored"
    case .handshakeSynFlood: "3whs_syn_flood"
    case .handshakeSynResendDifferentSequenceOnSynReceived: "3whs_syn_resend_diff_seq_on_syn_recv"
    case .handshakeSynToClientOnSynReceived: "3whs_syn_toclient_on_syn_recv"
    case .handshakeWrongSequenceWrongAck: "3whs_wrong_seq_wrong_ack"
    case .handshakeAckDataInject: "3whs_ack_data_inject"
    case .fourWaySynAckWithWrongAck: "4whs_synack_with_wrong_ack"
    case .fourWaySynAckWithWrongSyn: "4whs_synack_with_wrong_syn"
    case .fourWayWrongSequence: "4whs_wrong_seq"
    case .fourWayInvalidAck: "4whs_invalid_ack"
    case .establishedSynAckToServer: "est_synack_toserver"
    case .establishedSynAckResend: "est_synack_resend"
    case .establishedSynAckResendWithDifferentAck: "est_synack_resend_with_diff_ack"
    case .establishedSynAckResendWithDifferentSequence: "est_synack_resend_with_diff_seq"
    case .establishedSynToClient: "est_syn_toclient"
    case .establishedSynResend: "est_syn_resend"
    case .establishedSynResendDifferentSequence: "est_syn_resend_diff_seq"
    case .establishedPacketOutOfWindow: "est_packet_out_of_window"
    case .establishedPacketBeforeLastAck: "est_pkt_before_last_ack"
    case .establishedInvalidAck: "est_invalid_ack"
    case .establishedZeroWindowProbeData: "est_ack_zwp_data"
    case .finInvalidAck: "fin_invalid_ack"
    case .finOutOfWindow: "fin_out_of_window"
    case .finWait1AckWrongSequence: "fin1_ack_wrong_seq"
    case .finWait1FinWrongSequence: "fin1_fin_wrong_seq"
    case .finWait1InvalidAck: "fin1_invalid_ack"
    case .finWait2AckWrongSequence: "fin2_ack_wrong_seq"
    case .finWait2FinWrongSequence: "fin2_fin_wrong_seq"
    case .finWait2InvalidAck: "fin2_invalid_ack"
    case .closeWaitAckOutOfWindow: "closewait_ack_out_of_window"
    case .closeWaitFinOutOfWindow: "closewait_fin_out_of_window"
    case .closeWaitPacketBeforeLastAck: "closewait_pkt_before_last_ack"
    case .closeWaitInvalidAck: "closewait_invalid_ack"
    case .closingAckWrongSequence: "closing_ack_wrong_seq"
    case .closingInvalidAck: "closing_invalid_ack"
    case .lastAckAckWrongSequence: "lastack_ack_wrong_seq"
    case .lastAckInvalidAck: "lastack_invalid_ack"
    case .timeWaitAckWrongSequence: "timewait_ack_wrong_seq"
    case .timeWaitInvalidAck: "timewait_invalid_ack"
    case .shutdownSynResend: "shutdown_syn_resend"
    case .finButNoSession: "fin_but_no_session"
    case .rstButNoSession: "rst_but_no_session"
    case .rstInvalidAck: "rst_invalid_ack"
    case .rstWithData: "rst_with_data"
    case .suspectedRstInject: "suspected_rst_inject"
    case .finSyn: "fin_syn"
    case .packetInvalidTimestamp: "pkt_invalid_timestamp"
    case .packetInvalidAck: "pkt_invalid_ack"
    case .packetBrokenAck: "pkt_broken_ack"
    case .packetBadWindowUpdate: "pkt_bad_window_update"
    case .packetRetransmission: "pkt_retransmission"
    case .packetSpuriousRetransmission: "pkt_spurious_retransmission"
    case .wrongThread: "wrong_thread"
    case .reassemblySegmentBeforeBaseSequence: "reassembly_segment_before_base_seq"
    case .reassemblyNoSegment: "reassembly_no_segment"
    case .reassemblySequenceGap: "reassembly_seq_gap"
    case .reassemblyOverlapDifferentData: "reassembly_overlap_different_data"
    case .reassemblyDepthReached: "reassembly_depth_reached"
    case .reassemblyUrgentLimitReached: "reassembly_urgent_oob_limit_reached"
    case .reassemblyInsertMemcap: "reassembly_insert_memcap"
    case .reassemblyInsertLimit: "reassembly_insert_limit"
    case .reassemblyInsertInvalid: "reassembly_insert_invalid"
    }
  }

  /// - Parameter ruleName: the name after `stream-event:`, in any case, with or without "stream.".
  public init?(ruleName: String) {
    var wanted = ruleName.lowercased()
    if wanted.hasPrefix("stream.") { wanted.removeFirst(7) }
    // Rules may use an older name for two of them.
    if wanted.hasSuffix("synack_resend_with_different_ack") {
      wanted = wanted.dropLast("different_ack".count) + "diff_ack"
    }
    guard let event = Self.allCases.first(where: { $0.ruleName == wanted }) else { return nil }
    self = event
  }
}

/// The stream events of one packet as 128 bits, one for each ``StreamEvent``.
public struct StreamEventSet: Sendable, Hashable, BitwiseCopyable {
  @usableFromInline var word0: UInt64 = 0
  @usableFromInline var word1: UInt64 = 0

  @inlinable
  public init() {}

  @inlinable
  public init(_ event: StreamEvent) { insert(event) }

  @inlinable
  public var isEmpty: Bool { word0 | word1 == 0 }

  @inlinable
  public mutating func insert(_ event: StreamEvent) {
    let bit = UInt64(1) << UInt64(event.rawValue & 63)
    if event.rawValue < 64 { word0 |= bit } else { word1 |= bit }
  }

  @inlinable
  public func contains(_ event: StreamEvent) -> Bool {
    let bit = UInt64(1) << UInt64(event.rawValue & 63)
    return (event.rawValue < 64 ? word0 : word1) & bit != 0
  }

  @inlinable
  public mutating func formUnion(_ other: StreamEventSet) {
    word0 |= other.word0
    word1 |= other.word1
  }
}
