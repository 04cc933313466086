import Traffic

/// An inspection buffer that rules name by a sticky keyword.
public enum BufferID: UInt8, Sendable, Hashable, CaseIterable {
  // HTTP
  case httpURI, httpURIRaw, httpMethod, httpProtocol, httpRequestLine, httpResponseLine
  case httpHost, httpHostRaw, httpUserAgent, httpReferer, httpCookie, httpAccept
  case httpAcceptEncoding, httpAcceptLanguage, httpConnection, httpContentType, httpContentLength
  case httpLocation, httpServer, httpHeader, httpHeaderRaw, httpHeaderNames, httpStart
  case httpRequestHeader, httpResponseHeader, httpRequestBody, httpResponseBody
  case httpStatusCode, httpStatusMessage
  case fileData, fileName, fileMagic
  case http2HeaderName
  // QUIC
  case quicVersion, quicSNI, quicUserAgent, quicCYUString, quicCYUHash
  case webSocketPayload
  // TLS
  case tlsSNI, tlsCertificates, tlsCertificateSubject, tlsCertificateIssuer
  case tlsCertificateSerial, tlsCertificateFingerprint, tlsSubjectAltName, tlsALPN
  case tlsRandom, tlsRandomTime, tlsRandomBytes, ja3Hash, ja3String, ja3sHash, ja3sString, ja4Hash
  // DNS
  case dnsQueryName, dnsQueriesName, dnsAnswerName, dnsAuthorityName, dnsAdditionalName
  case dnsResponseName
  // SMTP and mail
  case smtpHelo, smtpMailFrom, smtpRecipient
  case emailFrom, emailSubject, emailTo, emailCC, emailDate, emailMessageID, emailXMailer, emailURL
  case emailReceived
  // SSH
  case sshVersion, sshSoftware, hassh, hasshString, hasshServer, hasshServerString
  // FTP
  case ftpCommand, ftpCommandData, ftpReply, ftpCompletionCode
  // SIP
  case sipMethod, sipURI, sipRequestLine, sipStatusCode, sipStatusMessage, sipResponseLine, sipProtocol
  case sipFrom, sipTo, sipVia, sipUserAgent, sipContentType, sipContentLength
  // SDP within SIP
  case sdpOrigin, sdpSessionName, sdpSessionInfo, sdpURI, sdpEmail, sdpPhoneNumber, sdpConnectionData, sdpBandwidth
  case sdpTime, sdpRepeatTime, sdpTimezone, sdpEncryptionKey, sdpAttribute
  case sdpMedia, sdpMediaInfo, sdpMediaConnectionData, sdpMediaEncryptionKey
  case ntpReferenceID, tftpFile, tftpMode
  // mDNS
  case mdnsQueriesName, mdnsAnswerName, mdnsAuthorityName, mdnsAdditionalName, mdnsResponseName
}

extension BufferID {
  /// The buffer that holds the very same octets at the same time, where two names stand for one thing: it
  /// need be scanned but once.
  public func original(_ appProtocol: AppProtocol, _ direction: Direction) -> BufferID {
    switch (self, appProtocol, direction) {
    case (.httpResponseBody, .http, .toClient), (.httpResponseBody, .http2, .toClient): .fileData
    default: self
    }
  }
}

/// A number of a transaction that a keyword compares.
public enum NumberID: UInt8, Sendable, Hashable, CaseIterable {
  case dnsOpcode, dnsRcode, dnsQueryType, tlsVersion, tlsCertificateChainLength
  case tlsNotBefore, tlsNotAfter
  case http2FrameType, http2ErrorCode, http2Priority, http2Window, http2SizeUpdate
  /// The identifier in the upper 32 bits, its value in the lower.
  case http2Setting
  case webSocketOpcode, webSocketMask, webSocketFlags
  case ftpMode, ftpDynamicPort, ftpReplyReceived, ftpBounce
  /// 1 for what is fetched, 2 for what is put.
  case ftpDataCommand
  case ntpVersion, ntpMode, ntpStratum, tftpOpcode, dhcpLeaseTime, dhcpRenewalTime, dhcpRebindingTime
}
