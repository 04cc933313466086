import AppLayer
import EventOutput
import Inspection
import RuleLanguage

extension Settings {
  mutating func readOutputs(_ reader: inout SettingsReader) throws(SettingsError) {
    if let directory = try reader.text("default-log-dir") { outputs.directory = directory }
    if let enabled = try reader.flag("outputs.eve-log.enabled") { outputs.isEVEEnabled = enabled }
    if let name = try reader.text("outputs.eve-log.filename") { outputs.fileName = name }
    if let isOn = try reader.flag("outputs.eve-log.community-id"), isOn {
      let seed = try reader.number("outputs.eve-log.community-id-seed", in: 0...65_535) ?? 0
      outputs.eve.communityID = UInt16(seed)
    }
    if let isOn = try reader.flag("outputs.eve-log.metadata") { outputs.eve.logsMetadata = isOn }
    if let isOn = try reader.flag("outputs.eve-log.ethernet") { outputs.eve.logsEthernet = isOn }
    if try reader.flag("outputs.eve-log.suricata-version") == true {
      // The version whose records these are like; programs that read them go by it.
      outputs.eve.versionName = "8.0 (Sluice)"
    }
    if let seconds = try reader.number("stats.interval", in: 1...86_400) {
      outputs.statsIntervalSeconds = seconds
    }
    reader.note("stats")
    outputs.eve.forwardedFor = forwardedFor(reader.value("outputs.eve-log.xff"))
    outputs.eve.alert?.forwardedFor = outputs.eve.forwardedFor
    if let types = reader.value("outputs.eve-log.types") {
      outputs.eve = .none.keeping(outputs.eve)
      try readTypes(types, reader.file)
    } else if let numbered = reader.value("outputs")?.numberedAsList.at("eve-log.types")?.numberedAsList {
      // Single settings of types that are not listed change what is there by default.
      try readTypes(numbered, reader.file)
    }
    if let file = rules.referenceFile, let bytes = TextFile.read(file) {
      outputs.eve.alert?.referencePrefixes = ReferenceFile.parse(bytes, fileName: file).prefixes
    }
    try readFileStore(&reader)
    noteOutputs(&reader)
    if !outputs.isEVEEnabled { outputs.eve = .none }
    selectLogs()
  }

  private mutating func readTypes(_ value: ConfigurationValue, _ file: String) throws(SettingsError) {
    guard case .list(let items) = value else {
      throw SettingsError("\(file): outputs.eve-log.types must be a list of types")
    }
    for item in items {
      switch item {
      case .scalar(let name): switchOn(name, .map([]))
      case .map(let entries):
        for entry in entries where entry.value.at("enabled").map(SettingsReader.isOff) != true {
          switchOn(entry.key, entry.value)
        }
      case .list: throw SettingsError("\(file): outputs.eve-log.types must be a list of types")
      }
    }
  }

  private mutating func switchOn(_ name: String, _ value: ConfigurationValue) {
    func flag(_ key: String, _ unset: Bool) -> Bool {
      guard case .scalar(let text)? = value.at(key) else { return unset }
      return SettingsReader.flag(text) ?? unset
    }
    switch name {
    case "alert":
      var alert = outputs.eve.alert ?? EVESettings.Alert()
      alert.logsPayload = flag("payload", alert.logsPayload)
      alert.logsPrintablePayload = flag("payload-printable", alert.logsPrintablePayload)
      alert.logsPacket = flag("packet", alert.logsPacket)
      alert.logsPayloadLength = flag("payload-length", alert.logsPayloadLength)
      alert.logsTaggedPackets = flag("tagged-packets", alert.logsTaggedPackets)
      if case .scalar(let text)? = value.at("payload-buffer-size"), let size = SettingsReader.size(text) {
        alert.payloadOctetsMax = size
      }
      alert.logsVerdict = flag("verdict", alert.logsVerdict)
      alert.logsHTTPBody = flag("http-body", false)
      alert.logsPrintableHTTPBody = flag("http-body-printable", false)
      alert.logsWebSocketPayload = flag("websocket-payload", false)
      alert.logsPrintableWebSocketPayload = flag("websocket-payload-printable", false)
      alert.logsReferences = flag("reference", alert.logsReferences)
      alert.forwardedFor = forwardedFor(value.at("xff")) ?? outputs.eve.forwardedFor
      if value.at("metadata") != nil {
        alert.logsAppLayer = flag("metadata.app-layer", flag("metadata", true))
        alert.logsFlow = flag("metadata.flow", flag("metadata", true))
        alert.logsRuleMetadata = flag("metadata.rule.metadata", flag("metadata", true))
        alert.logsRuleText = flag("metadata.rule.raw", false)
        alert.logsReferences = flag("metadata.rule.reference", alert.logsReferences)
      }
      outputs.eve.alert = alert
    case "http":
      var http = EVESettings.HTTP()
      http.isExtended = flag("extended", false)
      if case .scalar(let text)? = value.at("dump-all-headers") {
        http.dumpsRequestHeaders = text == "both" || text == "request"
        http.dumpsResponseHeaders = text == "both" || text == "response"
      }
      http.custom = texts(value.at("custom"))?.map { $0.lowercased() } ?? []
      outputs.eve.http = http
    case "dns":
      var dns = EVESettings.DNS()
      if case .scalar("2")? = value.at("version") { dns.version = 2 }
      dns.logsRequests = flag("requests", true)
      dns.logsResponses = flag("responses", true)
      dns.types = texts(value.at("types")).map { Set($0.map { $0.lowercased() }) }
      if let formats = texts(value.at("formats")) {
        dns.isDetailed = formats.contains("detailed")
        dns.isGrouped = formats.contains("grouped")
      }
      outputs.eve.dns = dns
    case "tls":
      var tls = EVESettings.TLS()
      tls.isExtended = flag("extended", false)
      tls.custom = texts(value.at("custom")).map(TLSFields.init(names:))
      tls.logsJA3 = flag("ja3", true)
      tls.logsJA4 = flag("ja4", true)
      // Source: Suricata: without any settings of its own, resumed sessions are not told of.
      let isBare = if case .map(let entries) = value { entries.isEmpty } else { false }
      tls.logsResumed = flag("session-resumption", !isBare)
      outputs.eve.tls = tls
    case "ssh": outputs.eve.logsSSH = true
    case "ftp": outputs.eve.logsFTP = true
    case "sip": outputs.eve.logsSIP = true
    case "pop3": outputs.eve.logsPOP3 = true
    case "ntp": outputs.eve.logsNTP = true
    case "tftp": outputs.eve.logsTFTP = true
    case "dhcp":
      var dhcp = EVESettings.DHCP()
      dhcp.isExtended = flag("extended", false)
      outputs.eve.dhcp = dhcp
    case "smtp": outputs.eve.smtp = smtp(value)
    case "drop":
      var drop = EVESettings.Drop()
      drop.logsAlerts = flag("alerts", true)
      drop.logsVerdict = flag("verdict", true)
      outputs.eve.drop = drop
      if case .scalar("all")? = value.at("flows") { inspection.logs.dropsWholeFlows = true }
    case "anomaly":
      var anomaly = outputs.eve.anomaly ?? EVESettings.Anomaly()
      anomaly.logsDecode = flag("types.decode", anomaly.logsDecode)
      anomaly.logsStream = flag("types.stream", anomaly.logsStream)
      anomaly.logsAppLayer = flag("types.applayer", anomaly.logsAppLayer)
      anomaly.logsPacketHeaders = flag("packethdr", false)
      outputs.eve.anomaly = anomaly
    case "arp": outputs.eve.logsARP = flag("enabled", true)
    case "flow": outputs.eve.logsFlow = true
    case "netflow": outputs.eve.logsNetflow = true
    case "files":
      outputs.eve.logsFileInfo = true
      if flag("force-magic", false) { inspection.appLayer.files.forced.insert(.magic) }
      force(value.at("force-hash"))
    case "stats": outputs.eve.logsStats = true
    case "quic": outputs.eve.logsQUIC = true
    case "websocket": outputs.eve.logsWebSocket = true
    case "http2": outputs.eve.logsHTTP2 = true
    case "mdns": outputs.eve.logsMDNS = true
    case "sluice": outputs.eve.logsInterception = true
    default: otherTypes.append(name)
    }
  }

  /// Warns of outputs that are switched on and that there are none of here.
  private mutating func noteOutputs(_ reader: inout SettingsReader) {
    reader.note("outputs")
    guard case .list(let items)? = reader.root.at("outputs") else { return }
    for item in items {
      guard case .map(let entries) = item else { continue }
      for entry in entries where !["eve-log", "file-store"].contains(entry.key) {
        guard entry.value.at("enabled").map(SettingsReader.isOff) != true else { continue }
        warnings.append("\(entry.file ?? reader.file):\(entry.line): outputs.\(entry.key) has no meaning here and is ignored")
      }
    }
    if case .scalar(let type)? = reader.root.at("outputs.eve-log.filetype"), type != "regular" {
      warnings.append("\(reader.file): outputs.eve-log.filetype: \(type) is written as a regular file")
    }
    if !otherTypes.isEmpty {
      warnings.append("\(reader.file): outputs.eve-log.types: there are no records of \(otherTypes.joined(separator: ", "))")
    }
  }

  /// Header fields that `extended` adds.
  private static let extendedMailFields = [
    "reply-to", "bcc", "message-id", "subject", "x-mailer", "user-agent", "received", "x-originating-ip",
    "in-reply-to", "references", "importance", "priority", "sensitivity", "organization", "content-md5", "date",
  ]

  private func smtp(_ value: ConfigurationValue) -> EVESettings.SMTP {
    var smtp = EVESettings.SMTP()
    if let names = texts(value.at("custom")) {
      smtp.fields = names.map { $0.lowercased() }
    } else if case .scalar(let text)? = value.at("extended"), SettingsReader.flag(text) == true {
      smtp.fields = Self.extendedMailFields
    }
    let hashed = texts(value.at("md5")) ?? []
    smtp.hashesBody = hashed.contains("body")
    smtp.hashesSubject = hashed.contains("subject")
    return smtp
  }

  // MARK: Files

  /// - Source: Suricata 8, "File Extraction", `outputs.file-store`.
  private mutating func readFileStore(_ reader: inout SettingsReader) throws(SettingsError) {
    let path = "outputs.file-store."
    reader.note("outputs.file-store")
    guard try reader.flag(path + "enabled") == true else { return }
    if let version = try reader.number(path + "version"), version != 2 {
      throw SettingsError("\(reader.file): \(path)version must be 2")
    }
    outputs.fileStore = try reader.text(path + "dir") ?? "filestore"
    inspection.appLayer.files.isStoreEnabled = true
    if try reader.flag(path + "force-filestore") == true { inspection.appLayer.files.forced.insert(.storeAll) }
    if try reader.flag(path + "force-magic") == true { inspection.appLayer.files.forced.insert(.magic) }
    if let depth = try reader.size(path + "stream-depth"), depth > 0 {
      inspection.appLayer.files.storeDepthBytes = UInt64(depth)
    }
    if let writes = try reader.flag(path + "write-fileinfo") { outputs.eve.describesStoredFiles = writes }
    force(reader.value(path + "force-hash"))
  }

  /// `force-hash`: one name or a list of names.
  private mutating func force(_ value: ConfigurationValue?) {
    var names = texts(value) ?? []
    if case .scalar(let text)? = value { names = text.split(separator: ",").map(String.init) }
    for name in names {
      switch name.lowercased().filter({ $0 != " " }) {
      case "md5": inspection.appLayer.files.forced.insert(.md5)
      case "sha1": inspection.appLayer.files.forced.insert(.sha1)
      case "sha256": inspection.appLayer.files.forced.insert(.sha256)
      default: warnings.append("force-hash: there is no digest \(name)")
      }
    }
  }

  /// Off unless it is switched on.
  private func forwardedFor(_ value: ConfigurationValue?) -> ForwardedForSettings? {
    guard let value, case .scalar(let enabled)? = value.at("enabled"), SettingsReader.flag(enabled) == true
    else { return nil }
    var result = ForwardedForSettings()
    if case .scalar("overwrite")? = value.at("mode") { result.mode = .overwrite }
    if case .scalar("forward")? = value.at("deployment") { result.isReverse = false }
    if case .scalar(let name)? = value.at("header") { result.header = name }
    return result
  }

  private func texts(_ value: ConfigurationValue?) -> [String]? {
    guard case .list(let items)? = value else { return nil }
    return items.compactMap { if case .scalar(let text) = $0 { text } else { nil } }
  }

  /// The path makes no record that is not written.
  private mutating func selectLogs() {
    let eve = outputs.eve
    inspection.logs.anomalies = eve.anomaly != nil
    inspection.logs.drops = eve.drop != nil
    inspection.logs.arp = eve.logsARP
    inspection.logs.linkAddresses = eve.logsEthernet
    inspection.logs.flows = eve.logsFlow || eve.logsNetflow
    inspection.logs.payload = eve.alert.map { $0.logsPayload || $0.logsPrintablePayload || $0.logsPayloadLength } ?? false
    inspection.logs.transactions = []
    if eve.http != nil { inspection.logs.transactions.insert(.http) }
    if eve.dns != nil { inspection.logs.transactions.insert(.dns) }
    if eve.tls != nil { inspection.logs.transactions.insert(.tls) }
    if eve.logsSSH { inspection.logs.transactions.insert(.ssh) }
    if eve.logsPOP3 { inspection.logs.transactions.insert(.pop3) }
    if eve.logsNTP { inspection.logs.transactions.insert(.ntp) }
    if eve.logsTFTP { inspection.logs.transactions.insert(.tftp) }
    if eve.dhcp != nil { inspection.logs.transactions.insert(.dhcp) }
    if eve.logsSIP { inspection.logs.transactions.insert(.sip) }
    if eve.logsFTP { inspection.logs.transactions.formUnion([.ftp, .ftpData]) }
    if eve.smtp != nil { inspection.logs.transactions.insert(.smtp) }
    if eve.logsMDNS { inspection.logs.transactions.insert(.mdns) }
    if eve.logsQUIC { inspection.logs.transactions.insert(.quic) }
    if eve.logsWebSocket { inspection.logs.transactions.insert(.websocket) }
    if eve.logsHTTP2 { inspection.logs.transactions.insert(.http2) }
    if eve.logsHTTP2 || eve.dns != nil { inspection.logs.transactions.insert(.doh2) }
    inspection.logs.files = eve.logsFileInfo
  }
}

extension OutputSettings {
  /// Makes the folder for stored files; nil where none are stored.
  public func openFileStore(in directory: String) throws(SettingsError) -> FileDirectory? {
    guard let fileStore else { return nil }
    let path = try TextFile.path(fileStore, in: directory)
    do throws(LineOutputError) {
      return try FileDirectory(path: path)
    } catch {
      throw SettingsError("\(error.path): cannot be made: \(TextFile.lastError(error.code))")
    }
  }
}

extension EVESettings {
  /// These types, with what is not of a type from `other`.
  fileprivate func keeping(_ other: EVESettings) -> EVESettings {
    var result = self
    result.communityID = other.communityID
    result.describesStoredFiles = other.describesStoredFiles
    result.logsEthernet = other.logsEthernet
    result.logsMetadata = other.logsMetadata
    result.versionName = other.versionName
    result.forwardedFor = other.forwardedFor
    return result
  }
}

extension SettingsReader {
  static func isOff(_ value: ConfigurationValue) -> Bool {
    guard case .scalar(let text) = value else { return false }
    return flag(text) == false
  }
}
