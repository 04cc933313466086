extension KeywordCatalog {
  /// - Source: Suricata "IP Keywords", "TCP keywords", "ICMP keywords", dsize, vlan.
  static let packetKeywords: [KeywordDescription] = [
    packet("dsize", [], "CONDITION", "Octets of the packet's payload.", "dsize:>100;"),
    packet("ttl", ["ip"], "CONDITION", "Time to live, or hop limit.", "ttl:<5;"),
    packet("tos", ["ip"], "[!]NUMBER", "Type of service, or traffic class; x before hexadecimal digits.", "tos:!0;"),
    packet("id", ["ip"], "NUMBER", "Identification of the IPv4 packet.", "id:1;"),
    packet("ipopts", ["ip"], "NAME", "An IPv4 option is there: rr, lsrr, ssrr, eol, nop, ts, sec, esec, satid, cipso, rtralt, any.", "ipopts:lsrr;"),
    packet("ip_proto", ["ip"], "[!|<|>]NUMBER|NAME", "Protocol number of the packet.", "ip_proto:gre;"),
    packet("sameip", ["ip"], "", "Source and destination are one address.", "sameip;"),
    packet("fragbits", ["ip"], "[+|*|!]MDR", "More fragments, do not fragment, reserved.", "fragbits:M;"),
    packet("fragoffset", ["ip"], "CONDITION", "Offset of the fragment, in units of 8 octets.", "fragoffset:>0;"),
    packet("flags", ["tcp"], "[+|*|!]FSRPAUEC0[,IGNORED]", "TCP flags.", "flags:S;", aliases: ["tcp.flags"]),
    packet("seq", ["tcp"], "NUMBER", "TCP sequence number.", "seq:0;", aliases: ["tcp.seq"]),
    packet("ack", ["tcp"], "NUMBER", "TCP acknowledgement number.", "ack:0;", aliases: ["tcp.ack"]),
    packet("window", ["tcp"], "[!]NUMBER", "TCP window as in the header.", "window:1024;", aliases: ["tcp.window"]),
    packet("tcp.mss", ["tcp"], "CONDITION", "Maximum segment size option.", "tcp.mss:<536;"),
    packet("tcp.wscale", ["tcp"], "CONDITION", "Window scale option.", "tcp.wscale:>10;"),
    packet("itype", ["icmp"], "CONDITION", "ICMP type.", "itype:8;"),
    packet("icode", ["icmp"], "CONDITION", "ICMP code.", "icode:0;"),
    packet("icmp_id", ["icmp"], "NUMBER", "Identifier of an ICMP echo.", "icmp_id:1;"),
    packet("icmp_seq", ["icmp"], "NUMBER", "Sequence number of an ICMP echo.", "icmp_seq:1;"),
    packet("icmpv6.mtu", ["icmp"], "CONDITION", "MTU of an ICMPv6 packet-too-big message.", "icmpv6.mtu:<1280;"),
    packet("vlan.id", ["ip"], "CONDITION[,LAYER]", "VLAN identifier, of any layer or of one.", "vlan.id:300;"),
    packet("ipv4-csum", ["ip"], "valid|invalid", "Checksum of the IPv4 header.", "ipv4-csum:invalid;"),
    packet("tcpv4-csum", ["tcp"], "valid|invalid", "Checksum of TCP in IPv4.", "tcpv4-csum:invalid;"),
    packet("tcpv6-csum", ["tcp"], "valid|invalid", "Checksum of TCP in IPv6.", "tcpv6-csum:invalid;"),
    packet("udpv4-csum", ["udp"], "valid|invalid", "Checksum of UDP in IPv4.", "udpv4-csum:invalid;"),
    packet("udpv6-csum", ["udp"], "valid|invalid", "Checksum of UDP in IPv6.", "udpv6-csum:invalid;"),
    packet("icmpv4-csum", ["icmp"], "valid|invalid", "Checksum of ICMP.", "icmpv4-csum:invalid;"),
    packet("icmpv6-csum", ["icmp"], "valid|invalid", "Checksum of ICMPv6.", "icmpv6-csum:invalid;"),
    packet("rpc", ["ip"], "PROGRAM[,VERSION|*[,PROCEDURE|*]]", "A call of Sun RPC: what is called.", "rpc:100000,*,3;"),
    packet("l3_proto", ["ip"], "ipv4|ipv6", "Version of IP.", "l3_proto:ipv6;"),
    packet("vlan.layers", ["ip"], "CONDITION", "Number of VLAN tags.", "vlan.layers:2;"),
    packet("pkt_data", [], "", "Back to the payload after a sticky buffer.", "http.uri; content:\"a\"; pkt_data; content:\"b\";"),
  ]

  /// - Source: Suricata "Decoder events", "App-layer events", "Application layer protocol".
  static let events: [KeywordDescription] = [
    event("decode-event", ["pkthdr"], "NAME", "Something odd about a packet, e.g. ipv4.trunc_pkt.", "decode-event:ipv4.trunc_pkt;"),
    event("stream-event", ["tcp"], "NAME", "Something odd about a TCP connection, e.g. 3whs_wrong_seq_wrong_ack.", "stream-event:3whs_wrong_seq_wrong_ack;"),
    event("app-layer-event", ["http"], "PROTOCOL.NAME", "Something odd about a transaction, or applayer_… about a flow.", "app-layer-event:http.missing_host_header;"),
    event("app-layer-protocol", ["tcp"], "[!]PROTOCOL[,final|original|either|to_server|to_client]", "The application protocol that was recognised.", "app-layer-protocol:http;"),
    event("app-layer-state", ["tls"], "[<|>]STATE", "How far the transaction has come: at this state, not yet there, or beyond it.", "app-layer-state:client_hello_done;"),
  ]

  /// - Source: Suricata "HTTP Keywords" (urilen), "DNS Keywords", "SSL/TLS Keywords", filesize.
  static let transactions: [KeywordDescription] = [
    transaction("urilen", "http", .toServer, "CONDITION[,norm|raw]", "Octets of the request target.", "urilen:>100;"),
    transaction("uricontent", "http", .toServer, "[!]\"TEXT\"", "A content in http.uri, as rules of old say it.", "uricontent:\"/a\";"),
    transaction("filesize", "http", .both, "CONDITION", "Octets of a file in transfer.", "filesize:>100KB;"),
    transaction("filename", "http", .both, "[!]\"TEXT\"", "A text in the name of a file, whatever its case.", "filename:\"invoice\";"),
    transaction("fileext", "http", .both, "[!]\"TEXT\"", "What stands behind the last dot of a file's name.", "fileext:\"exe\";"),
    transaction("filemagic", "http", .both, "[!]\"TEXT\"", "A text in what libmagic calls a file, whatever its case.", "filemagic:\"executable\";"),
    transaction("filemd5", "http", .both, "[!]FILE", "The MD5 of a whole file stands in a list, one in hex a line.", "filemd5:/dev/null;"),
    transaction("filesha1", "http", .both, "[!]FILE", "The SHA-1 of a whole file stands in a list, one in hex a line.", "filesha1:/dev/null;"),
    transaction("filesha256", "http", .both, "[!]FILE", "The SHA-256 of a whole file stands in a list, one in hex a line.", "filesha256:/dev/null;"),
    transaction("filestore", "http", .both, "[request|response|both[,file|tx|flow]]", "Stores the file, or all of the transaction or flow (outputs.file-store).", "fileext:\"exe\"; filestore;"),
    transaction("dns.opcode", "dns", .both, "CONDITION", "Opcode of the message.", "dns.opcode:!0;"),
    transaction("dns.rcode", "dns", .toClient, "CONDITION", "Response code.", "dns.rcode:3;"),
    transaction("dns.rrtype", "dns", .both, "CONDITION|NAME", "Record type that is asked for.", "dns.rrtype:TXT;"),
    transaction("tls.version", "tls", .both, "1.0|1.1|1.2|1.3|0xNUMBER", "TLS version.", "tls.version:1.2;"),
    transaction("ssl_version", "tls", .both, "[!]sslv2|sslv3|tls1.0|…,…", "One of these versions, or none of them.", "ssl_version:sslv3,tls1.0;"),
    transaction("ssl_state", "tls", .both, "[!]client_hello|client_keyx|server_hello|server_keyx", "One of these messages of the handshake has come.", "ssl_state:client_hello;"),
    transaction("tls.cert_chain_len", "tls", .both, "CONDITION", "Certificates in the chain.", "tls.cert_chain_len:>2;"),
    transaction("tls.subject", "tls", .both, "[!]\"TEXT\"", "A text in the subject of the certificate.", "tls.subject:\"CN=a\";"),
    transaction("tls.issuerdn", "tls", .both, "[!]\"TEXT\"", "A text in the issuer of the certificate.", "tls.issuerdn:\"CN=a\";"),
    transaction("tls.fingerprint", "tls", .both, "[!]\"TEXT\"", "SHA-1 of the certificate, whole.", "tls.fingerprint:\"4a:a3:66:76:82:cb:6b:23:bb:c3:58:47:23:a4:63:a7:78:a4:a1:18\";"),
    transaction("tls_cert_notbefore", "tls", .toClient, "[<|>]DATE[<>DATE]", "When the certificate of the server begins to hold.", "tls_cert_notbefore:>2020-01-31;"),
    transaction("tls_cert_notafter", "tls", .toClient, "[<|>]DATE[<>DATE]", "When the certificate of the server ceases to hold.", "tls_cert_notafter:<2030;"),
    transaction("tls_cert_expired", "tls", .toClient, "", "The certificate of the server holds no longer.", "tls_cert_expired;"),
    transaction("tls_cert_valid", "tls", .toClient, "", "The certificate of the server holds at the time of the packet.", "tls_cert_valid;"),
    KeywordDescription(
      "frame", kind: .transaction, protocols: ["tcp"], way: .both, syntax: "[PROTOCOL.]NAME",
      summary: "A part that a protocol marks off: http1.stream, .request, .response, tls.stream, .pdu, .hdr, .data, .alert, .heartbeat, dns.stream, .pdu.",
      example: "frame:tls.pdu; content:\"a\";", source: keywordFile("FrameKeywords")),
    transaction("websocket.opcode", "websocket", .both, "[!]NAME|CONDITION", "Opcode of a frame.", "websocket.opcode:text;"),
    transaction("websocket.flags", "websocket", .both, "[!]fin,[!]comp|CONDITION", "Bits beside the opcode.", "websocket.flags:fin,!comp;"),
    transaction("websocket.mask", "websocket", .both, "CONDITION", "Masking key of a frame.", "websocket.mask:0x11223344;"),
    transaction("http2.frametype", "http2", .both, "NAME|NUMBER", "A frame of this type.", "http2.frametype:GOAWAY;"),
    transaction("ftp.mode", "ftp", .both, "active|passive", "Which side opens the data connection that the command and its reply agree on.", "ftp.mode:passive;"),
    transaction("ftp.dynamic_port", "ftp", .both, "CONDITION", "Port of the data connection that the command and its reply agree on.", "ftp.dynamic_port:>1024;"),
    transaction("ftp.reply_received", "ftp", .both, "yes|no", "The command was answered, or the connection has ended without an answer.", "ftp.reply_received:yes;"),
    transaction("ftpbounce", "ftp", .toServer, "", "PORT or EPRT names another host than its sender.", "ftpbounce;"),
    transaction("ftpdata_command", "ftp-data", .both, "retr|stor", "The data connection carries what is fetched, or put.", "ftpdata_command:retr;"),
    transaction("ntp.version", "ntp", .both, "CONDITION", "Version of the protocol.", "ntp.version:4;"),
    transaction("ntp.mode", "ntp", .both, "[!]NAME|CONDITION", "Mode of a message, as client, server or control.", "ntp.mode:server;"),
    transaction("ntp.stratum", "ntp", .both, "CONDITION", "How far the clock is from a reference.", "ntp.stratum:>15;"),
    transaction("dhcp.leasetime", "dhcp", .both, "CONDITION", "Seconds that an address is lent for.", "dhcp.leasetime:<7200;"),
    transaction("dhcp.renewal_time", "dhcp", .both, "CONDITION", "Seconds until the client asks its server again.", "dhcp.renewal_time:>1000;"),
    transaction("dhcp.rebinding_time", "dhcp", .both, "CONDITION", "Seconds until the client asks any server.", "dhcp.rebinding_time:>3000;"),
    transaction("tftp.opcode", "tftp", .both, "read|write|CONDITION", "What a request asks for.", "tftp.opcode:write;"),
    transaction("http2.errorcode", "http2", .both, "NAME|NUMBER", "The error code of RST_STREAM or GOAWAY.", "http2.errorcode:ENHANCE_YOUR_CALM;"),
    transaction("http2.priority", "http2", .both, "CONDITION", "Weight in PRIORITY or HEADERS.", "http2.priority:>100;"),
    transaction("http2.window", "http2", .both, "CONDITION", "Increment in WINDOW_UPDATE.", "http2.window:>100000;"),
    transaction("http2.size_update", "http2", .both, "CONDITION", "A new size of the dynamic table.", "http2.size_update:>65536;"),
    transaction("http2.settings", "http2", .both, "NAME[CONDITION]", "A setting, perhaps with its value.", "http2.settings:SETTINGS_ENABLE_PUSH=0;"),
  ]

  private static func packet(
    _ name: String, _ protocols: [String], _ syntax: String, _ summary: String, _ example: String,
    aliases: [String] = []
  ) -> KeywordDescription {
    KeywordDescription(
      name, aliases: aliases, kind: .packet, protocols: protocols, way: .both, syntax: syntax, summary: summary,
      example: example, source: keywordFile("PacketKeywords"))
  }

  private static func event(
    _ name: String, _ protocols: [String], _ syntax: String, _ summary: String, _ example: String
  ) -> KeywordDescription {
    KeywordDescription(
      name, kind: .event, protocols: protocols, way: .both, syntax: syntax, summary: summary, example: example,
      source: keywordFile("EventKeywords"))
  }

  private static let files = [
    "http2": "HTTP2Keywords", "websocket": "WebSocketKeywords", "ftp": "FTPKeywords", "ftp-data": "FTPKeywords", "ntp": "DatagramKeywords",
    "dhcp": "DatagramKeywords", "tftp": "DatagramKeywords",
  ]

  private static func transaction(
    _ name: String, _ protocolName: String, _ way: KeywordDescription.Way, _ syntax: String, _ summary: String,
    _ example: String
  ) -> KeywordDescription {
    KeywordDescription(
      name, kind: .transaction, protocols: [protocolName], way: way, syntax: syntax, summary: summary,
      example: example, source: keywordFile(files[protocolName] ?? "TransactionKeywords"))
  }
}
