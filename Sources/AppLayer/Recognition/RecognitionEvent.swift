/// What can be odd about how a flow's protocol shows (`app-layer-event:applayer_…`).
///
/// - Source: Suricata 8's `app-layer-events.rules`.
public enum RecognitionEvent: String, Sendable, CaseIterable {
  case mismatch = "applayer_mismatch_protocol_both_directions"
  case wrongDirectionFirst = "applayer_wrong_direction_first_data"
  case oneDirectionOnly = "applayer_detect_protocol_only_one_direction"
  case skipped = "applayer_proto_detection_skipped"
  case noTLSAfterStartTLS = "applayer_no_tls_after_starttls"
  case unexpected = "applayer_unexpected_protocol"

  /// These belong to no protocol.
  public var appEvent: AppEvent { AppEvent(.unknown, rawValue) }
}
