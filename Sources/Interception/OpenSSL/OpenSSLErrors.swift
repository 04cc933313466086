import CSluiceOpenSSL

/// What OpenSSL's error queue of this thread held.
struct OpenSSLErrors {
  /// The reasons, oldest first; "no reason given" where the queue was empty.
  var text: String
  /// The alert that the peer sent, where that is the reason.
  var alert: UInt8?

  /// Reads and empties the queue.
  static func drain() -> OpenSSLErrors {
    var reasons: [String] = []
    var alert: UInt8?
    while case let code = ERR_get_error(), code != 0 {
      if let received = UInt8(exactly: sluice_error_alert(code)) { alert = received }
      // SAFETY: the library returns a constant string or NULL.
      if let reason = unsafe ERR_reason_error_string(code) {
        reasons.append(unsafe String(cString: reason))
      } else {
        reasons.append("error \(code)")
      }
    }
    return OpenSSLErrors(text: reasons.isEmpty ? "no reason given" : reasons.joined(separator: "; "), alert: alert)
  }

  /// Must precede each call whose result is judged by SSL_get_error.
  static func clear() {
    // Emptying goes through all its places each time; it is mostly empty.
    if ERR_peek_error() != 0 { ERR_clear_error() }
  }

  /// RFC 8446 section 6.2 by OpenSSL's names.
  static func alertName(_ alert: UInt8) -> String {
    // SAFETY: the library returns a constant string for every number.
    unsafe SSL_alert_desc_string_long(Int32(alert)).map { unsafe String(cString: $0) } ?? "alert \(alert)"
  }
}
