import AppLayer

/// The `smtp` and `email` objects.
/// - Source: Suricata 8, EVE JSON format, "Event type: SMTP", and its `smtp` output settings.
public enum SMTPRecord {
  /// Writes both objects into the record that is open.
  ///
  /// - Parameter settings: which fields stand beside the basic ones; nil for none.
  public static func write(_ tx: SMTPTransaction, settings: EVESettings.SMTP?, into json: inout JSONWriter) {
    json.beginObject("smtp")
    if let helo = tx.helo { json.member("helo", helo) }
    if let sender = tx.mailFrom { json.member("mail_from", sender) }
    write("rcpt_to", tx.recipients, into: &json)
    json.endObject()
    guard let email = tx.email else { return }
    json.beginObject("email")
    if let from = email.value("from") { json.member("from", from) }
    if let to = email.value("to") { write("to", MIMEMessage.addresses(to), into: &json) }
    if let cc = email.value("cc") { write("cc", MIMEMessage.addresses(cc), into: &json) }
    json.member("status", text: email.status.rawValue)
    write("attachment", email.attachments, into: &json)
    // The last comes first, as in Suricata's.
    write("url", email.urls.reversed(), into: &json)
    if let settings { writeMore(email, settings, into: &json) }
    json.endObject()
  }

  private static func write(_ key: StaticString, _ values: [[UInt8]], into json: inout JSONWriter) {
    guard !values.isEmpty else { return }
    json.beginArray(key)
    for value in values { json.string(value) }
    json.endArray()
  }

  private static func writeMore(
    _ email: MIMEMessage, _ settings: EVESettings.SMTP, into json: inout JSONWriter
  ) {
    for name in settings.fields {
      guard let value = email.value(named: name) else { continue }
      json.key(text: name.utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 })
      switch name {
      case "received":
        json.beginArray()
        for value in email.values("received") { json.string(value) }
        json.endArray()
      case "bcc":
        json.beginArray()
        for address in MIMEMessage.addresses(value) { json.string(address) }
        json.endArray()
      default: json.string(value)
      }
    }
    if settings.hashesBody, let digest = email.bodyMD5 { json.member("body_md5", FileInfoRecord.hex(digest)) }
    if settings.hashesSubject, let subject = email.value("subject") {
      json.member("subject_md5", Digest.md5.hex(subject))
    }
  }
}
