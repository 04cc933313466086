import AppLayer
import Inspection
import Traffic

extension EVEWriter {
  /// The records of a transaction by its protocol.
  func write(
    _ transaction: Transaction, _ direction: Direction?, _ context: borrowing EventContext,
    _ bytes: RawSpan
  ) {
    switch transaction {
    case let http2 as HTTP2Transaction:
      writeHTTP2(http2, context, bytes)
    case let quic as QUICTransaction:
      guard settings.logsQUIC else { return }
      begin("quic", context, .direction(quic.direction), bytes)
      writeInside(quic)
      end(context.decryption)
    case let frame as WebSocketTransaction:
      guard settings.logsWebSocket else { return }
      begin("websocket", context, .direction(frame.direction), bytes)
      writeInside(frame)
      end(context.decryption)
    case let http as HTTPTransaction:
      writeHTTP(http, context, bytes)
    case let tls as TLSTransaction:
      guard let settings = settings.tls, TLSRecord.isLoggable(tls), settings.logsResumed || !tls.isResumed
      else { return }
      begin("tls", context, .flow, bytes)
      json.beginObject("tls")
      if let original = context.appLayer?.originalProtocol, original != .unknown {
        json.member("from_proto", text: original.name)
      }
      TLSRecord.write(tls, settings: settings, into: &json)
      json.endObject()
      writeMetadata(context.flow, [])
      end(context.decryption)
    case let ssh as SSHTransaction:
      guard settings.logsSSH, SSHRecord.isLoggable(ssh) else { return }
      begin("ssh", context, .flow, bytes)
      writeInside(ssh)
      end(context.decryption)
    case let smtp as SMTPTransaction:
      guard let settings = settings.smtp else { return }
      begin("smtp", context, .flow, bytes)
      json.member("tx_id", smtp.id)
      SMTPRecord.write(smtp, settings: settings, into: &json)
      close(context)
    case is FTPTransaction: writeSimple("ftp", settings.logsFTP, transaction, context, bytes)
    case is SIPTransaction: writeSimple("sip", settings.logsSIP, transaction, context, bytes)
    case is POP3Transaction: writeSimple("pop3", settings.logsPOP3, transaction, context, bytes)
    case is NTPTransaction: writeSimple("ntp", settings.logsNTP, transaction, context, bytes)
    case is TFTPTransaction: writeSimple("tftp", settings.logsTFTP, transaction, context, bytes)
    case let dhcp as DHCPTransaction:
      guard let settings = settings.dhcp, DHCPRecord.isLoggable(dhcp, isExtended: settings.isExtended) else { return }
      writeSimple("dhcp", true, dhcp, context, bytes)
    case is FTPDataTransaction: writeSimple("ftp_data", settings.logsFTP, transaction, context, bytes)
    case let dns as DNSTransaction:
      if dns.appProtocol == .mdns {
        writeMulticast(dns, context, bytes)
      } else {
        writeDNS(dns, context, bytes)
      }
    default: return
    }
  }

  /// A record that holds its transaction's object and nothing else.
  private func writeSimple(
    _ type: StaticString, _ isOn: Bool, _ transaction: Transaction, _ context: borrowing EventContext,
    _ bytes: RawSpan
  ) {
    guard isOn else { return }
    begin(type, context, transaction.soleDirection.map { .direction($0) } ?? .flow, bytes)
    writeInside(transaction)
    close(context)
  }

  private func writeHTTP(
    _ http: HTTPTransaction, _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    if let settings = settings.http {
      begin("http", context, .flow, bytes)
      json.member("tx_id", http.id)
      json.beginObject("http")
      HTTPRecord.write(http, settings: settings, into: &json)
      json.endObject()
      writeMetadata(context.flow, [])
      end(context.decryption)
    }
  }

  /// A stream or frame; one that carries DNS is told as DNS, with the HTTP around it.
  private func writeHTTP2(
    _ http2: HTTP2Transaction, _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    if settings.dns != nil, http2.dnsResponse != nil || http2.dnsRequest != nil {
      begin("dns", context, .flow, bytes)
      writeInside(http2)
      writeMetadata(context.flow, [])
      end(context.decryption)
    } else if settings.logsHTTP2, HTTP2Record.isLoggable(http2) {
      begin("http", context, .flow, bytes)
      writeInside(http2)
      writeMetadata(context.flow, [])
      end(context.decryption)
    }
  }

  private func writeDNS(
    _ dns: DNSTransaction, _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    guard let settings = settings.dns, DNSRecords.isLoggable(dns, settings: settings) else {
      return
    }
    if settings.version == 2 {
      let count = dns.message.isResponse ? 1 : dns.message.queries.count
      for query in 0..<count {
        begin("dns", context, .flow, bytes)
        json.beginObject("dns")
        DNSRecords.writeVersion2(dns, query: query, settings: settings, into: &json)
        json.endObject()
        writeMetadata(context.flow, [])
        end(context.decryption)
      }
      return
    }
    begin("dns", context, .direction(dns.direction), bytes)
    json.beginObject("dns")
    DNSRecords.write(dns, settings: settings, into: &json)
    json.endObject()
    writeMetadata(context.flow, [])
    end(context.decryption)
  }

  private func writeMulticast(
    _ dns: DNSTransaction, _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    guard settings.logsMDNS, dns.isLoggable else { return }
    begin("mdns", context, .direction(dns.direction), bytes)
    json.beginObject("mdns")
    DNSRecords.writeMulticast(dns, into: &json)
    json.endObject()
    writeMetadata(context.flow, [])
    end(context.decryption)
  }

  /// - Source: Suricata 8, EVE JSON format, `websocket-payload`.
  private func writePayload(_ frame: WebSocketTransaction, _ alert: EVESettings.Alert) {
    guard let view = frame.buffer(.webSocketPayload, frame.direction, index: 0) else { return }
    if alert.logsPrintableWebSocketPayload {
      json.key("payload_printable")
      json.string { JSONText.appendPrintable(view.storage.rawSpan.extracting(view.range), to: &$0) }
    }
    if alert.logsWebSocketPayload {
      json.key("payload_base64")
      json.string { JSONText.appendBase64(view.storage.rawSpan.extracting(view.range), to: &$0) }
    }
  }

  /// The transaction as part of another record (an alert's).
  ///
  /// - Parameter alert: the settings of the alert that it stands in.
  func writeInside(_ transaction: Transaction, of alert: EVESettings.Alert? = nil) {
    switch transaction {
    case let quic as QUICTransaction:
      json.beginObject("quic")
      QUICRecord.write(quic, into: &json)
      json.endObject()
    case let frame as WebSocketTransaction:
      json.beginObject("websocket")
      json.member("fin", frame.isFinal)
      if let opcode = WebSocketTransaction.Opcode(rawValue: frame.opcode) {
        json.member("opcode", text: opcode.name)
      } else {
        json.member("opcode", text: "unknown-\(frame.opcode)")
      }
      if let alert { writePayload(frame, alert) }
      json.endObject()
    case let http2 as HTTP2Transaction:
      json.beginObject("http")
      HTTP2Record.write(http2, into: &json)
      json.endObject()
      if let dns = http2.dnsResponse ?? http2.dnsRequest {
        json.beginObject("dns")
        DNSRecords.write(dns, settings: settings.dns ?? EVESettings.DNS(), into: &json)
        json.endObject()
      }
    case let http as HTTPTransaction:
      json.beginObject("http")
      var full = settings.http ?? EVESettings.HTTP()
      full.isExtended = true
      (full.dumpsRequestHeaders, full.dumpsResponseHeaders, full.custom) = (false, false, [])
      HTTPRecord.write(http, settings: full, into: &json)
      if let alert { HTTPRecord.writeBodies(http, alert, into: &json) }
      json.endObject()
    case let tls as TLSTransaction:
      json.beginObject("tls")
      TLSRecord.write(tls, settings: settings.tls ?? EVESettings.TLS(), into: &json)
      json.endObject()
    case let ssh as SSHTransaction:
      json.beginObject("ssh")
      SSHRecord.write(ssh, into: &json)
      json.endObject()
    case let smtp as SMTPTransaction: SMTPRecord.write(smtp, settings: nil, into: &json)
    case let ftp as FTPTransaction:
      json.beginObject("ftp")
      FTPRecord.write(ftp, into: &json)
      json.endObject()
    case let sip as SIPTransaction:
      json.beginObject("sip")
      SIPRecord.write(sip, into: &json)
      json.endObject()
    case let pop3 as POP3Transaction:
      json.beginObject("pop3")
      POP3Record.write(pop3, into: &json)
      json.endObject()
    case let ntp as NTPTransaction:
      json.beginObject("ntp")
      NTPRecord.write(ntp, into: &json)
      json.endObject()
    case let tftp as TFTPTransaction:
      json.beginObject("tftp")
      TFTPRecord.write(tftp, into: &json)
      json.endObject()
    case let dhcp as DHCPTransaction:
      json.beginObject("dhcp")
      DHCPRecord.write(dhcp, isExtended: settings.dhcp?.isExtended ?? false, into: &json)
      json.endObject()
    case let data as FTPDataTransaction:
      json.beginObject("ftp_data")
      FTPRecord.write(data, into: &json)
      json.endObject()
    case let dns as DNSTransaction where dns.appProtocol == .mdns:
      json.beginObject("mdns")
      DNSRecords.writeMulticast(dns, into: &json)
      json.endObject()
    case let dns as DNSTransaction:
      json.beginObject("dns")
      DNSRecords.write(dns, settings: settings.dns ?? EVESettings.DNS(), isInside: true, into: &json)
      json.endObject()
    default: return
    }
  }
}
