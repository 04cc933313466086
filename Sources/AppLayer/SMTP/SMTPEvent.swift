/// What can be odd about an SMTP connection (`app-layer-event:smtp.…`).
///
/// - Source: Suricata 8's `smtp-events.rules`; what mail content adds is in ``MIMEEvent``.
public enum SMTPEvent: String, Sendable, CaseIterable {
  case invalidReply = "invalid_reply"
  case unmatchedReply = "unable_to_match_reply_with_request"
  case longCommand = "max_command_line_len_exceeded"
  case longReply = "max_reply_line_len_exceeded"
  case invalidPipelining = "invalid_pipelined_sequence"
  case bdatTooLong = "bdat_chunk_len_exceeded"
  case invalidBDAT = "invalid_bdat"
  case noWelcome = "no_server_welcome_message"
  case tlsRejected = "tls_rejected"
  case dataRejected = "data_command_rejected"
  case failedProtocolChange = "failed_protocol_change"
  case duplicateFields = "duplicate_fields"
  case unparsableContent = "unparsable_content"
  case truncatedLine = "truncated_line"

  public var appEvent: AppEvent { AppEvent(.smtp, rawValue) }
}
