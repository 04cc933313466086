/// What can be odd about mail content.
///
/// - Source: Suricata 8's `smtp-events.rules`.
public enum MIMEEvent: String, Sendable, CaseIterable {
  case parseFailed = "mime_parse_failed"
  case invalidBase64 = "mime_invalid_base64"
  case invalidQuotedPrintable = "mime_invalid_qp"
  case longLine = "mime_long_line"
  case longEncodedLine = "mime_long_enc_line"
  case longHeaderName = "mime_long_header_name"
  case longHeaderValue = "mime_long_header_value"
  case longBoundary = "mime_long_boundary"
  case longFileName = "mime_long_filename"
}
