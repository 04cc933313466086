/// What can be odd about an HTTP/2 connection, named as rules name it (`app-layer-event:http2.…`).
///
/// - Source: Suricata 8's `http2-events.rules`; the floods are our own.
public enum HTTP2Event: String, Sendable, CaseIterable {
  case invalidFrameHeader = "invalid_frame_header"
  case invalidClientMagic = "invalid_client_magic"
  case invalidFrameData = "invalid_frame_data"
  case invalidHeader = "invalid_header"
  case invalidFrameLength = "invalid_frame_length"
  case extraHeaderData = "extra_header_data"
  case longFrameData = "long_frame_data"
  case streamIDReuse = "stream_id_reuse"
  case invalidHTTP1Settings = "invalid_http1_settings"
  case failedDecompression = "failed_decompression"
  case invalidRange = "invalid_range"
  case headerIntegerOverflow = "header_integer_overflow"
  case tooManyStreams = "too_many_streams"
  case authorityHostMismatch = "authority_host_mismatch"
  case userInfoInURI = "userinfo_in_uri"
  case reassemblyLimitReached = "reassembly_limit_reached"
  case dnsRequestTooLong = "dns_request_too_long"
  case dnsResponseTooLong = "dns_response_too_long"
  case dataStreamZero = "data_stream_zero"
  case tooManyFrames = "too_many_frames"
  case compressionBomb = "compression_bomb"
  case headerTableOverflow = "header_table_overflow"
  case continuationWithoutHeaders = "continuation_without_headers"
  case tooLongRepeatedHeaders = "too_long_repeated_headers"
  /// A header list beyond the limits on fields or octets: what exceeds them is not looked at.
  case headerListTooLong = "header_list_too_long"
  /// More CONTINUATION frames in one header block than any client has use for (CVE-2024-27316 and kin).
  case continuationFlood = "continuation_flood"
  /// Streams opened and reset faster than any client has use for (CVE-2023-44487).
  case rapidReset = "rapid_reset"
  /// SETTINGS, PING, PRIORITY, WINDOW_UPDATE or empty frames by the thousand (CVE-2019-9512 and kin).
  case controlFrameFlood = "control_frame_flood"

  public var appEvent: AppEvent { AppEvent(.http2, rawValue) }
}
