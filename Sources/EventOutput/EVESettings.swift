/// What is written and how fully; the names are Suricata's below `outputs.eve-log`.
public struct EVESettings: Sendable {
  /// Nil where the type is not logged.
  public var alert: Alert? = Alert()
  public var http: HTTP? = HTTP()
  public var dns: DNS? = DNS()
  public var tls: TLS? = TLS()
  public var drop: Drop? = Drop()
  public var anomaly: Anomaly? = Anomaly()
  public var smtp: SMTP? = SMTP()
  public var logsSSH = true
  /// `ftp`: commands and data connections.
  public var logsFTP = true
  public var logsSIP = true
  public var logsPOP3 = true
  public var logsNTP = true
  public var logsTFTP = true
  public var dhcp: DHCP? = DHCP()
  public var logsFlow = true
  /// Each direction of a flow on its own.
  public var logsNetflow = false
  /// `arp`: each ARP message; off unless switched on.
  public var logsARP = false
  public var logsFileInfo = true
  /// `file-store.write-fileinfo`: a stored file's record stands beside it, too.
  public var describesStoredFiles = false
  public var logsStats = true
  public var logsMDNS = true
  /// `http2`: streams and frames of HTTP/2, event type `http`.
  public var logsHTTP2 = true
  public var logsQUIC = true
  public var logsWebSocket = true
  /// Steps of the interception stage, event type `sluice`.
  public var logsInterception = true
  /// `community-id`, with its seed.
  public var communityID: UInt16?
  /// `metadata`: flowbits and flow variables in all records.
  public var logsMetadata = true
  /// `ethernet`: the addresses of the frame.
  public var logsEthernet = false
  /// `xff`, for record types that have none of their own.
  public var forwardedFor: ForwardedForSettings?
  /// `suricata-version`: what all records name as their writer; nil for nothing.
  public var versionName: String?

  public init() {}

  /// All types off, to switch on one by one.
  public static var none: EVESettings {
    var out = EVESettings()
    (out.alert, out.http, out.dns, out.tls, out.drop, out.anomaly) = (nil, nil, nil, nil, nil, nil)
    out.smtp = nil
    out.logsSSH = false
    out.logsFTP = false
    out.logsSIP = false
    out.logsPOP3 = false
    out.logsNTP = false
    out.logsTFTP = false
    out.dhcp = nil
    out.logsFlow = false
    out.logsNetflow = false
    out.logsFileInfo = false
    out.logsStats = false
    out.logsMDNS = false
    out.logsHTTP2 = false
    out.logsQUIC = false
    out.logsWebSocket = false
    out.logsInterception = false
    return out
  }

  public struct Alert: Sendable {
    /// `payload`: Base64.
    public var logsPayload = false
    public var logsPrintablePayload = false
    public var logsPacket = false
    /// `tagged-packets`: packets that a rule's `tag` asks for.
    public var logsTaggedPackets = true
    /// `payload-length`: how long the payload is.
    public var logsPayloadLength = false
    /// Octets of payload at most (`payload-buffer-size`).
    public var payloadOctetsMax = 4096
    /// `metadata.app-layer`: the transaction's own record.
    public var logsAppLayer = true
    /// `metadata.flow`.
    public var logsFlow = true
    /// `metadata.rule.metadata`.
    public var logsRuleMetadata = true
    /// `metadata.rule.raw`: the text of the rule.
    public var logsRuleText = false
    public var logsReferences = false
    /// What `reference.config` puts before the identifiers of each system; empty where there is no such file.
    public var referencePrefixes: [String: String] = [:]
    /// `http-body`, `http-body-printable`: what is there of the bodies of the transaction.
    public var logsHTTPBody = false
    public var logsPrintableHTTPBody = false
    /// `websocket-payload`, `websocket-payload-printable`.
    public var logsWebSocketPayload = false
    public var logsPrintableWebSocketPayload = false
    public var logsVerdict = false
    /// `xff`; nil writes nothing of it.
    public var forwardedFor: ForwardedForSettings?
    public init() {}

    /// A reference as a link, where its system is known.
    func link(_ reference: String) -> String {
      guard let comma = reference.firstIndex(of: ","),
        let prefix = referencePrefixes[reference[..<comma].lowercased()]
      else { return reference }
      return prefix + reference[reference.index(after: comma)...].drop { $0 == " " }
    }
  }

  public struct HTTP: Sendable {
    /// Off: only host, port, target, agent, content type.
    public var isExtended = true
    public var dumpsRequestHeaders = false
    public var dumpsResponseHeaders = false
    /// `custom`: names of header fields written besides, lower case.
    public var custom: [String] = []
    public init() {}
  }

  public struct DNS: Sendable {
    /// 3, or 2 for the form of Suricata 7.
    public var version: UInt8 = 3
    public var logsRequests = true
    public var logsResponses = true
    /// `types`: lower-case names of record types; nil for all.
    public var types: Set<String>?
    /// `formats`.
    public var isDetailed = true
    public var isGrouped = true
    public init() {}
  }

  public struct SMTP: Sendable {
    /// Header fields that are written besides, lower case (`extended`, `custom`).
    public var fields: [String] = []
    /// `md5`: what is written as a digest.
    public var hashesBody = false
    public var hashesSubject = false
    public init() {}
  }

  public struct DHCP: Sendable {
    /// All messages with all that they say; off, only those that give an address.
    public var isExtended = false
    public init() {}
  }

  public struct TLS: Sendable {
    public var isExtended = true
    /// `custom`; nil for the basic or extended set.
    public var custom: TLSFields?
    public var logsJA3 = true
    public var logsJA4 = true
    /// `session-resumption`.
    public var logsResumed = true
    public init() {}
  }

  public struct Drop: Sendable {
    /// `alerts`: the rule that dropped.
    public var logsAlerts = true
    public var logsVerdict = true
    public init() {}
  }

  public struct Anomaly: Sendable {
    public var logsDecode = false
    public var logsStream = false
    public var logsAppLayer = true
    /// `packethdr`: the packet's headers.
    public var logsPacketHeaders = false
    public init() {}
  }
}
