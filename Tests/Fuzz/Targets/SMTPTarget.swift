import AppLayer
import TestSupport
import Traffic

/// A ``Conversation`` of mail. However it is cut, the same mails come out.
enum SMTPTarget {
  static func run(_ bytes: [UInt8]) {
    let examiner = FileExaminer(settings: files)
    Conversation(bytes).checkCuts { SMTPParser(settings: settings, files: examiner) }
  }

  /// Small enough for a fuzzer's input to reach the limits.
  private static let settings: SMTPSettings = {
    var settings = SMTPSettings()
    settings.lineBytesMax = 128
    settings.contentLineBytesMax = 256
    settings.recipientCountMax = 4
    settings.pendingCountMax = 8
    settings.mime.headerValueBytesMax = 100
    settings.mime.nameBytesMax = 30
    settings.mime.fieldCountMax = 16
    settings.mime.depthMax = 4
    settings.mime.attachmentCountMax = 4
    settings.mime.urlCountMax = 4
    settings.mime.hashesBody = true
    return settings
  }()

  private static let files: FileSettings = {
    var settings = FileSettings()
    settings.forced = [.md5]
    return settings
  }()

  static var seeds: [(name: String, bytes: [UInt8])] {
    func mail(_ body: String) -> [UInt8] {
      Conversation.input([
        (.toClient, crlf("220 a ESMTP\n")), (.toServer, crlf("EHLO c\n")),
        (.toClient, crlf("250-a\n250-PIPELINING\n250 STARTTLS\n")),
        (.toServer, crlf("MAIL FROM:<a@b>\nRCPT TO:<c@d>\nRCPT TO:<e@f>\nDATA\n")),
        (.toClient, crlf("250 ok\n250 ok\n250 ok\n354 go\n")), (.toServer, crlf(body + "\n.\nQUIT\n")),
        (.toClient, crlf("250 taken\n221 bye\n")),
      ])
    }
    return [
      ("plain", mail("From: a@b\nSubject: =?utf-8?B?aGk=?=\nTo: c@d,\n e@f\n\nsee http://a.example/x?y <b>\n..dot")),
      ("multipart", mail("""
        MIME-Version: 1.0
        Content-Type: multipart/mixed; boundary="B"

        --B
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        a=3Db=
        c http://x.example
        --B
        Content-Type: application/octet-stream; name*0="lo"; name*1="ng.exe"
        Content-Disposition: attachment; filename="x.exe"
        Content-Transfer-Encoding: base64

        TVqQAAMAAAAEAAAA
        //8AALgAAAA=
        --B
        Content-Type: message/rfc822

        Subject: inner

        x
        --B--
        """)),
      ("bdat", Conversation.input([
        (.toClient, crlf("220 a\n")), (.toServer, crlf("HELO c\nMAIL FROM:<>\nBDAT 11\nSubject: a\nBDAT 8 LAST\n\n\nbody!!")),
        (.toClient, crlf("250 a\n250 ok\n250 ok\n554 no\n")), (.toServer, crlf("RSET\nBDAT 99999999999999999\nx")),
      ])),
      ("starttls", Conversation.input([
        (.toClient, crlf("220 a\n")), (.toServer, crlf("EHLO c\nSTARTTLS\n")), (.toClient, crlf("250 STARTTLS\n220 go\n")),
        (.toServer, TLSClientHello().records()),
      ])),
      ("odd", Conversation.input([
        (.toServer, crlf("DATA\n")), (.toClient, crlf("xyz\n")), (.toServer, crlf("\(String(repeating: "a", count: 200))\n")),
      ])),
    ]
  }
}
