extension BufferTable {
  private typealias Source = BufferDeclaration.Source

  /// Envelope and content come bit by bit: all may be there from the start and are looked for until the end.
  private static let mail = Source(.smtp, .toServer, progress: 0)

  /// - Source: Suricata 8, "SMTP Keywords", "Email Keywords".
  static let smtp: [BufferDeclaration] = [
    .init(
      .smtpHelo, ["smtp.helo"], [mail], isStreaming: true, summary: "Name that the client gives with HELO or EHLO."),
    .init(.smtpMailFrom, ["smtp.mail_from"], [mail], isStreaming: true, summary: "Sender of the envelope."),
    .init(
      .smtpRecipient, ["smtp.rcpt_to"], [mail], isMultiple: true, isStreaming: true,
      summary: "Each recipient of the envelope."),
    .init(.emailFrom, ["email.from"], [mail], isStreaming: true, summary: "Value of From."),
    .init(.emailSubject, ["email.subject"], [mail], isStreaming: true, summary: "Value of Subject."),
    .init(.emailTo, ["email.to"], [mail], isStreaming: true, summary: "Value of To."),
    .init(.emailCC, ["email.cc"], [mail], isStreaming: true, summary: "Value of Cc."),
    .init(.emailDate, ["email.date"], [mail], isStreaming: true, summary: "Value of Date."),
    .init(.emailMessageID, ["email.message_id"], [mail], isStreaming: true, summary: "Value of Message-ID."),
    .init(.emailXMailer, ["email.x_mailer"], [mail], isStreaming: true, summary: "Value of X-Mailer."),
    .init(
      .emailURL, ["email.url"], [mail], isMultiple: true, isStreaming: true,
      summary: "Each URL in the text of a message."),
    .init(
      .emailReceived, ["email.received"], [mail], isMultiple: true, isStreaming: true,
      summary: "Value of each Received."),
  ]

  /// File buffers with the place where mail has them too.
  static func sharedWithSMTP(_ declarations: [BufferDeclaration]) -> [BufferDeclaration] {
    declarations.map { declaration in
      guard [.fileData, .fileName, .fileMagic].contains(declaration.id) else { return declaration }
      var copy = declaration
      copy.sources.append(mail)
      return copy
    }
  }
}
