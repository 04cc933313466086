import AppLayer
import EventOutput
import Inspection
import TestSupport
import Testing
import Traffic

private func transactions(_ parser: AppLayerParser, _ sent: [(Direction, [UInt8])]) -> [Transaction] {
  for (direction, bytes) in sent {
    parser.consume(
      StreamChunk(bytes: bytes.rawSpan, direction: direction, offset: 0, time: Timestamp(seconds: 1_500_000_000)))
  }
  return parser.transactions
}

private func record(
  _ transaction: Transaction?, _ context: EventContext, _ settings: EVESettings = EVESettings()
) throws -> JSON {
  let transaction = try #require(transaction)
  return try #require(try records(.transaction(transaction, nil), context, settings: settings).first)
}

@Suite struct SessionRecordTests {
  private let stream = context(ipProtocol: IPProtocol.tcp, serverPort: 21)
  private let datagram = context(ipProtocol: IPProtocol.udp, serverPort: 67)

  @Test func `a command of FTP is told with its replies`() throws {
    let seen = transactions(
      FTPParser(),
      [
        (.toClient, crlf("220 ready\n")), (.toServer, crlf("PASV\n")), (.toClient, crlf("227 go (10,0,0,1,4,1).\n")),
        (.toServer, crlf("RETR a.txt\n")),
      ])
    let greeting = try record(seen.first, stream)
    #expect(text(greeting, "event_type") == "ftp" && value(greeting, "ftp.command") == nil)
    #expect(text(greeting, "ftp.completion_code.0") == "220" && text(greeting, "ftp.reply.0") == "ready")
    let offer = try record(seen[1], stream)
    #expect(text(offer, "ftp.command") == "PASV" && number(offer, "ftp.dynamic_port") == 1025)
    #expect(text(offer, "ftp.mode") == "passive" && text(offer, "ftp.reply_received") == "yes")
    #expect(flag(offer, "ftp.reply_truncated") == false && value(offer, "ftp.command_data") == nil)
    let open = try record(seen[2], stream)
    #expect(text(open, "ftp.command_data") == "a.txt" && flag(open, "ftp.command_truncated") == false)
    #expect(text(open, "ftp.reply_received") == "no" && value(open, "ftp.reply") == nil)
  }

  @Test func `a data connection of FTP is told with what it carries`() throws {
    let tuple = FlowTuple(
      source: ip("192.0.2.10"), destination: ip("198.51.100.1"), sourcePort: 4000, destinationPort: 21, ipProtocol: 6)
    let expected = ExpectedFlows()
    _ = transactions(
      FTPParser(ends: FlowEnds(tuple, expected: expected)),
      [(.toServer, crlf("EPSV\n")), (.toClient, crlf("229 ok (|||5000|)\n")), (.toServer, crlf("RETR a.txt\n"))])
    var data = tuple
    data.destinationPort = 5000
    let flow = AppLayerFlow(
      settings: AppLayerSettings(), transport: .tcp, serverPort: 5000, clientPort: 4001,
      ends: FlowEnds(data, expected: expected))
    flow.consume(
      StreamChunk(
        bytes: [97].rawSpan, direction: .toClient, offset: 0, isEnd: true, time: Timestamp(seconds: 1_500_000_000)))
    let out = try record(flow.transactions.first, stream)
    #expect(text(out, "event_type") == "ftp_data" && text(out, "ftp_data.command") == "RETR")
    #expect(text(out, "ftp_data.filename") == "a.txt")
  }

  @Test func `messages of SIP are told by their first lines`() throws {
    let seen = transactions(
      SIPParser(isStream: false),
      [(.toServer, crlf("BYE sip:a SIP/2.0\nVia: x\n\n")), (.toClient, crlf("SIP/2.0 404 Not Found\nVia: x\n\n"))])
    let request = try record(seen.first, datagram)
    #expect(text(request, "event_type") == "sip" && text(request, "sip.method") == "BYE")
    #expect(text(request, "sip.uri") == "sip:a" && text(request, "sip.version") == "SIP/2.0")
    #expect(text(request, "sip.request_line") == "BYE sip:a SIP/2.0" && value(request, "sip.code") == nil)
    let response = try record(seen.last, datagram)
    #expect(text(response, "sip.code") == "404" && text(response, "sip.reason") == "Not Found")
    #expect(text(response, "sip.response_line") == "SIP/2.0 404 Not Found" && value(response, "sip.method") == nil)
    #expect(text(response, "src_ip") == text(request, "dest_ip"))
  }

  @Test func `a session description is told within its message`() throws {
    let body = crlf(
      "v=0\no=ann  1 2 IN IP4 10.0.0.1\ns=Call\nc=IN IP4 10.0.0.1\nb=AS:64\nt=0 0\nr=1 2 3\nt=5 6\na=recvonly\n"
        + "m=audio 4 RTP/AVP 0 8\nc=IN IP4 10.0.0.9\na=rtpmap:0 PCMU/8000\n")
    let head = crlf("INVITE sip:a SIP/2.0\nc: Application/SDP;q=1\nl: \(body.count)\n\n")
    let out = try record(transactions(SIPParser(isStream: false), [(.toServer, head + body)]).first, datagram)
    #expect(text(out, "sip.sdp.origin") == "ann 1 2 IN IP4 10.0.0.1" && text(out, "sip.sdp.session_name") == "Call")
    #expect(text(out, "sip.sdp.bandwidths.0") == "AS:64" && text(out, "sip.sdp.attributes.0") == "recvonly")
    #expect(text(out, "sip.sdp.time_descriptions.0.repeat_time") == "1 2 3")
    #expect(text(out, "sip.sdp.time_descriptions.1.time") == "5 6")
    #expect(text(out, "sip.sdp.media_descriptions.0.media") == "audio 4 RTP/AVP 0 8")
    #expect(text(out, "sip.sdp.media_descriptions.0.connection_data") == "IN IP4 10.0.0.9")
    #expect(text(out, "sip.sdp.media_descriptions.0.attributes.0") == "rtpmap:0 PCMU/8000")
  }

  @Test func `a command of POP3 is told with its response, a password is not`() throws {
    let seen = transactions(
      POP3Parser(),
      [
        (.toServer, crlf("PASS secret\nLIST\n")), (.toClient, crlf("-ERR no\n+OK two\n1 10\n2 20\n.\n")),
      ])
    let refused = try record(seen.first, stream)
    #expect(text(refused, "event_type") == "pop3" && text(refused, "pop3.request.command") == "PASS")
    #expect((value(refused, "pop3.request.args") as? [Any])?.isEmpty == true && flag(refused, "pop3.response.success") == false)
    #expect(text(refused, "pop3.response.status") == "ERR" && text(refused, "pop3.response.header") == "no")
    let list = try record(seen.last, stream)
    #expect(text(list, "pop3.response.data.1") == "2 20" && flag(list, "pop3.response.success") == true)
  }

  @Test func `messages of DHCP are told in full only where that is asked for`() throws {
    let options: [UInt8] = [53, 1, 5, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 0, 0, 3, 4, 10, 0, 0, 1, 6, 8, 10, 0, 0, 1, 10, 0, 0, 2]
    let head: [UInt8] = [2, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0, 10, 0, 0, 9, 10, 0, 0, 8, 10, 0, 0, 7, 0, 0, 0, 0]
    let message = head + [2, 0, 0, 0, 0, 9] + [UInt8](repeating: 0, count: 202) + [99, 130, 83, 99] + options
      + [12, 3, 110, 97, 115, 61, 7, 1, 2, 0, 0, 0, 0, 9, 55, 4, 1, 28, 3, 6, 255]
    let seen = transactions(DHCPParser(), [(.toClient, message)])
    let short = try record(seen.first, datagram)
    #expect(text(short, "event_type") == "dhcp" && text(short, "dhcp.type") == "reply")
    #expect(text(short, "dhcp.dhcp_type") == "ack" && number(short, "dhcp.id") == 0x0102_0304)
    #expect(text(short, "dhcp.client_mac") == "02:00:00:00:00:09" && text(short, "dhcp.assigned_ip") == "10.0.0.8")
    #expect(value(short, "dhcp.lease_time") == nil && value(short, "dhcp.client_ip") == nil)
    var settings = EVESettings()
    settings.dhcp?.isExtended = true
    let full = try record(seen.first, datagram, settings)
    #expect(number(full, "dhcp.lease_time") == 3600 && text(full, "dhcp.client_ip") == "10.0.0.9")
    #expect(text(full, "dhcp.next_server_ip") == "10.0.0.7" && text(full, "dhcp.relay_ip") == "0.0.0.0")
    #expect(text(full, "dhcp.subnet_mask") == "255.255.0.0" && text(full, "dhcp.routers.0") == "10.0.0.1")
    #expect(text(full, "dhcp.dns_servers.1") == "10.0.0.2" && text(full, "dhcp.hostname") == "nas")
    #expect(text(full, "dhcp.client_id") == "02:00:00:00:00:09")
    #expect(text(full, "dhcp.params.1") == "router" && text(full, "dhcp.params.2") == "dns_server")
    // What asks for an address is told in full records alone.
    var asking = message
    asking[242] = 3
    let asked = transactions(DHCPParser(), [(.toServer, asking)])
    #expect(try records(.transaction(asked[0], nil), datagram, settings: EVESettings()).isEmpty)
    #expect(try records(.transaction(asked[0], nil), datagram, settings: settings).count == 1)
  }

  @Test func `NTP and TFTP are told in short`() throws {
    let message: [UInt8] = [0x24, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x4c, 0x4f, 0x43, 0x4c] + [UInt8](repeating: 0, count: 32)
    let ntp = try record(transactions(NTPParser(), [(.toClient, message)]).first, datagram)
    #expect(text(ntp, "event_type") == "ntp" && number(ntp, "ntp.version") == 4 && number(ntp, "ntp.mode") == 4)
    #expect(number(ntp, "ntp.stratum") == 2 && text(ntp, "ntp.reference_id") == "4c:4f:43:4c")
    let tftp = try record(
      transactions(TFTPParser(), [(.toServer, [0, 2] + Array("a.cfg\0Octet\0".utf8))]).first, datagram)
    #expect(text(tftp, "event_type") == "tftp" && text(tftp, "tftp.packet") == "write")
    #expect(text(tftp, "tftp.file") == "a.cfg" && text(tftp, "tftp.mode") == "octet")
  }
}
