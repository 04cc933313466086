import AppLayer
import Inspection
import Interception
import RuleLanguage
import Traffic

extension Settings {
  /// Suricata's, so that its rules load without a configuration.
  static let defaultAddressGroups: [String: String] = [
    "HOME_NET": "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]", "EXTERNAL_NET": "!$HOME_NET",
    "HTTP_SERVERS": "$HOME_NET", "SMTP_SERVERS": "$HOME_NET", "SQL_SERVERS": "$HOME_NET",
    "DNS_SERVERS": "$HOME_NET", "TELNET_SERVERS": "$HOME_NET", "AIM_SERVERS": "$EXTERNAL_NET",
    "DC_SERVERS": "$HOME_NET", "DNP3_SERVER": "$HOME_NET", "DNP3_CLIENT": "$HOME_NET",
    "MODBUS_CLIENT": "$HOME_NET", "MODBUS_SERVER": "$HOME_NET", "ENIP_CLIENT": "$HOME_NET",
    "ENIP_SERVER": "$HOME_NET",
  ]

  static let defaultPortGroups: [String: String] = [
    "HTTP_PORTS": "80", "SHELLCODE_PORTS": "!80", "ORACLE_PORTS": "1521", "SSH_PORTS": "22",
    "DNP3_PORTS": "20000", "MODBUS_PORTS": "502", "FILE_DATA_PORTS": "[$HTTP_PORTS,110,143]",
    "FTP_PORTS": "21", "GENEVE_PORTS": "6081", "VXLAN_PORTS": "4789", "TEREDO_PORTS": "3544",
    "SIP_PORTS": "[5060,5061]",
  ]

  // MARK: Application layer

  mutating func readAppLayer(_ reader: inout SettingsReader) throws(SettingsError) {
    for name in AppProtocol.allCases {
      let path = "app-layer.protocols.\(name.name)"
      if let text = try reader.text(path + ".enabled"), SettingsReader.flag(text) == false {
        inspection.appLayer.enabled.remove(name)
      }
      reader.note(path)
    }
    for transport in ["tcp", "udp"] {
      guard let text = try reader.text("app-layer.protocols.dns.\(transport).detection-ports.dp") else { continue }
      for part in text.split(whereSeparator: { ", []".contains($0) }) {
        if let port = UInt16(part) { inspection.appLayer.dnsPorts.insert(port) }
      }
    }
    reader.note("app-layer.protocols")
    try readHTTP(&reader)
    for name in ["ja3", "ja4"] {
      // Source: Suricata: `auto`, the default, makes fingerprints where rules ask for them.
      let text = try reader.text("app-layer.protocols.tls.\(name)-fingerprints")
      if let text, SettingsReader.flag(text) == false { rules.missingFeatures.insert(name) }
    }
    try readHTTP2(&reader)
    if let isOn = try reader.flag("app-layer.protocols.ssh.hassh") { inspection.appLayer.logsHASSH = isOn }
    if let handling = try reader.text("app-layer.protocols.ssh.encryption-handling") {
      inspection.bypassesEncryptedSSH = handling == "bypass"
    }
    try readMail(&reader, "app-layer.protocols.smtp.mime.")
    try readFTP(&reader, "app-layer.protocols.ftp.")
    try readPOP3(&reader, "app-layer.protocols.pop3.")
    if let handling = try reader.text("app-layer.protocols.tls.encryption-handling") {
      inspection.bypassesEncrypted = handling == "bypass"
      inspection.hidesEncrypted = handling != "full"
      capture.releasesEncrypted = handling != "full"
    }
  }

  private mutating func readMail(_ reader: inout SettingsReader, _ path: String) throws(SettingsError) {
    var mime = inspection.appLayer.smtp.mime
    if let isOn = try reader.flag(path + "decode-mime") { mime.isEnabled = isOn }
    if let isOn = try reader.flag(path + "decode-base64") { mime.decodesBase64 = isOn }
    if let isOn = try reader.flag(path + "decode-quoted-printable") { mime.decodesQuotedPrintable = isOn }
    if let depth = try reader.size(path + "header-value-depth") { mime.headerValueBytesMax = depth }
    if let isOn = try reader.flag(path + "extract-urls") { mime.extractsURLs = isOn }
    if let schemes = try reader.texts(path + "extract-urls-schemes") { mime.urlSchemes = schemes }
    if let isOn = try reader.flag(path + "log-url-scheme") { mime.keepsURLScheme = isOn }
    if let isOn = try reader.flag(path + "body-md5") { mime.hashesBody = isOn }
    inspection.appLayer.smtp.mime = mime
  }

  private mutating func readPOP3(_ reader: inout SettingsReader, _ path: String) throws(SettingsError) {
    if let count = try reader.number(path + "max-tx"), count > 0 {
      inspection.appLayer.pop3.transactionCountMax = count
    }
  }

  private mutating func readFTP(_ reader: inout SettingsReader, _ path: String) throws(SettingsError) {
    if let size = try reader.size(path + "max-line-length"), size > 0 {
      inspection.appLayer.ftp.lineBytesMax = min(size, 1 << 20)
    }
    if let count = try reader.number(path + "max-tx"), count > 0 {
      inspection.appLayer.ftp.transactionCountMax = count
    }
    // 0 stands for no limit.
    if let size = try reader.size(path + "memcap"), size > 0 { inspection.appLayer.ftp.textBytesMax = size }
  }

  // MARK: Ours

  mutating func readCapture(_ reader: inout SettingsReader) throws(SettingsError) {
    if let name = try reader.text("capture.mode") {
      guard let mode = CaptureSettings.Mode(rawValue: name) else {
        let names = CaptureSettings.Mode.allCases.map(\.rawValue).joined(separator: ", ")
        throw SettingsError("\(reader.file): capture.mode must be one of \(names), not \(name)")
      }
      capture.mode = mode
    }
    if let text = try reader.text("capture.nat"), text != "auto" {
      guard let translates = SettingsReader.flag(text) else {
        throw SettingsError("\(reader.file): capture.nat must be auto, yes or no, not \(text)")
      }
      capture.translates = translates
    }
    if let name = try reader.text("capture.bridge") { capture.bridge = name }
    if let names = try reader.texts("capture.interfaces") { capture.interfaces = names }
    if let queue = try reader.number("capture.first-queue", in: 0...65_535) { capture.firstQueue = UInt16(queue) }
    if let count = try reader.number("capture.queues", in: 1...256) { capture.queueCount = UInt16(count) }
    if let open = try reader.flag("capture.fail-open") { capture.failsOpen = open }
    if let length = try reader.number("capture.queue-length", in: 16...1_048_576) {
      capture.queueLength = UInt32(length)
    }
    if let pins = try reader.flag("capture.pin-workers") { capture.pinsWorkers = pins }
    if let names = try reader.texts("capture.release") {
      capture.releases = []
      for name in names where name != "none" {
        guard let reason = ReleaseReason(rawValue: name), reason != .operator, reason != .policy else {
          throw SettingsError(
            "\(reader.file): capture.release takes bypass, pass, encrypted, tunnel, depth or none, not \(name)")
        }
        capture.releases.insert(reason)
      }
    }
    if let recalls = try reader.flag("capture.recall-on-reload") { capture.recallsOnReload = recalls }
    if let text = try reader.text("capture.inspect") {
      guard text == "all" || text == "none" else {
        throw SettingsError("\(reader.file): capture.inspect must be all or none, not \(text)")
      }
      capture.inspects = text == "all"
    }
  }

  mutating func readInterception(_ reader: inout SettingsReader) throws(SettingsError) {
    let path = "interception."
    if let enabled = try reader.flag(path + "enabled") { interception.isEnabled = enabled }
    if let ports = try reader.texts(path + "ports") {
      interception.ports = try ports.map { (text) throws(SettingsError) in
        guard let port = UInt16(text), port > 0 else {
          throw SettingsError("\(reader.file): interception.ports: \(text) is no port")
        }
        return port
      }
    }
    if let name = try reader.text(path + "take-over") {
      guard let way = TLSStageSettings.TakeOver(rawValue: name) else {
        throw SettingsError("\(reader.file): interception.take-over must be hello, syn or ports")
      }
      interception.takeOver = way
    }
    if let port = try reader.number(path + "listen-port", in: 1...65_535) {
      interception.listenPort = UInt16(port)
    }
    if let count = try reader.number(path + "workers", in: 1...256) { interception.workerCount = count }
    if let file = try reader.text(path + "ca-certificate") { interception.caCertificate = file }
    if let file = try reader.text(path + "ca-key") { interception.caKey = file }
    if let files = try reader.texts(path + "extra-trust") { interception.extraTrust = files }
    if let name = try reader.text(path + "bad-certificate") {
      interception.badCertificate = try Self.reaction(name, "\(reader.file): interception.bad-certificate")
    }
    try readVerification(&reader, path)
    if let seconds = try reader.number(path + "hello-timeout", in: 1...3600) {
      interception.helloTimeoutSeconds = seconds
    }
    if let seconds = try reader.number(path + "idle-timeout", in: 1...86_400) {
      interception.idleTimeoutSeconds = seconds
    }
    if let seconds = try reader.number(path + "connect-timeout", in: 1...3600) {
      interception.connectTimeoutSeconds = seconds
    }
    if let seconds = try reader.number(path + "drain-timeout", in: 0...3600) {
      interception.drainTimeoutSeconds = seconds
    }
    if let offers = try reader.flag(path + "http2") { interception.offersHTTP2 = offers }
    if let name = try reader.text(path + "http2-drop") {
      guard let reach = TLSStageSettings.HTTP2Drop(rawValue: name) else {
        throw SettingsError("\(reader.file): interception.http2-drop must be stream or connection, not \(name)")
      }
      interception.http2Drop = reach
    }
    if let name = try reader.text(path + "quic") {
      guard let handling = QUICHandling(rawValue: name) else {
        throw SettingsError("\(reader.file): interception.quic must be refuse, drop or pass, not \(name)")
      }
      interception.quic = handling
    }
    if let count = try reader.number(path + "layers", in: 1...16) { interception.layerCountMax = count }
    if let name = try reader.text(path + "layer-limit") {
      guard let limit = InterceptionSettings.LayerLimit(rawValue: name) else {
        throw SettingsError("\(reader.file): interception.layer-limit must be block or pass, not \(name)")
      }
      interception.layerLimit = limit
    }
    if let user = try reader.text(path + "authority-user") {
      guard !user.isEmpty, user.utf8.count <= 64 else {
        throw SettingsError("\(reader.file): interception.authority-user must be the name of a user")
      }
      interception.authorityUser = user
    }
    if let name = try reader.text(path + "minting-failure") {
      guard let reaction = InterceptionSettings.MintingFailure(rawValue: name) else {
        throw SettingsError("\(reader.file): interception.minting-failure must be block or tunnel, not \(name)")
      }
      interception.mintingFailure = reaction
    }
    if let shows = try reader.flag(path + "block-page") { interception.showsBlockPage = shows }
    if let file = try reader.text(path + "key-log-file") { interception.keyLogFile = file }
    try readDecrypted(&reader, path + "decrypted.")
    try readExplicit(&reader, path + "explicit.")
    try readTerminate(&reader)
    try readLearning(&reader, path + "learning.")
  }

  static func reaction(
    _ name: String, _ place: String
  ) throws(SettingsError) -> InterceptionSettings.UntrustedUpstream {
    guard let reaction = InterceptionSettings.UntrustedUpstream(rawValue: name) else {
      throw SettingsError("\(place) must be block or pass-defect, not \(name)")
    }
    return reaction
  }

  private mutating func readVerification(
    _ reader: inout SettingsReader, _ path: String
  ) throws(SettingsError) {
    for (name, value) in try reader.map(path + "defects") ?? [] {
      let place = "\(reader.file): \(path)defects"
      guard let kind = UpstreamDefect.Kind(rawValue: name), kind != .missing else {
        let names = UpstreamDefect.Kind.allCases.filter { $0 != .missing }.map(\.rawValue).joined(separator: ", ")
        throw SettingsError("\(place): there is no defect \(name); there are \(names)")
      }
      interception.defects[kind] = try Self.reaction(value, "\(place).\(name)")
    }
    if let files = try reader.texts(path + "intermediates") { interception.intermediates = files }
    if let files = try reader.texts(path + "revocation-lists") { interception.revocationLists = files }
    if let name = try reader.text(path + "ocsp-staple") {
      guard let staples = TrustSettings.Staples(rawValue: name) else {
        throw SettingsError("\(reader.file): \(path)ocsp-staple must be check, strict or ignore, not \(name)")
      }
      interception.staples = staples
    }
    if let version = try version(&reader, path + "min-version") { interception.versionMin = version }
    if let version = try version(&reader, path + "max-version") { interception.versionMax = version }
    guard interception.versionMin <= interception.versionMax else {
      throw SettingsError("\(reader.file): \(path)min-version is above max-version")
    }
    if let size = try reader.size(path + "names-size") {
      guard (512...65_536).contains(size) else {
        throw SettingsError("\(reader.file): \(path)names-size must be from 512 to 64kb")
      }
      interception.namesBytesMax = size
    }
    if let seconds = try reader.number(path + "handshake-timeout", in: 1...3600) {
      interception.handshakeTimeoutSeconds = seconds
    }
  }

  private func version(_ reader: inout SettingsReader, _ path: String) throws(SettingsError) -> UInt16? {
    guard let text = try reader.text(path) else { return nil }
    let names: [String: UInt16] = ["1.0": 0x0301, "1": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304]
    guard let version = names[text] else {
      throw SettingsError("\(reader.file): \(path) must be 1.0, 1.1, 1.2 or 1.3, not \(text)")
    }
    return version
  }

  private mutating func readLearning(
    _ reader: inout SettingsReader, _ path: String
  ) throws(SettingsError) {
    if let name = try reader.text(path + "mode") {
      switch name {
      case "off", "no": interception.learning.mode = .off
      case "approve": interception.learning.mode = .approve
      case "automatic": interception.learning.mode = .automatic
      default: throw SettingsError("\(reader.file): \(path)mode must be automatic, approve or off, not \(name)")
      }
    }
    if let name = try reader.text(path + "client-certificates") {
      guard name == "required" || name == "requested" else {
        throw SettingsError("\(reader.file): \(path)client-certificates must be required or requested, not \(name)")
      }
      interception.learning.learnsRequestedCertificates = name == "requested"
    }
    if let count = try reader.number(path + "refusals", in: 1...1000) { interception.learning.refusalCount = count }
    if let seconds = try reader.number(path + "window", in: 1...86_400) {
      interception.learning.refusalWindowSeconds = Int64(seconds)
    }
    if let seconds = try reader.number(path + "duration", in: 1...31_536_000) {
      interception.learning.bypassSeconds = Int64(seconds)
    }
    if let count = try reader.number(path + "entries", in: 1...1_000_000) {
      interception.learning.entryCountMax = count
    }
    if let count = try reader.number(path + "client-entries", in: 1...1_000_000) {
      interception.learning.clientEntryCountMax = count
    }
    if let file = try reader.text(path + "file") { interception.learningFile = file == "no" ? nil : file }
  }

  private mutating func readExplicit(
    _ reader: inout SettingsReader, _ path: String
  ) throws(SettingsError) {
    if let texts = try reader.texts(path + "listen") {
      interception.explicit.listen = try texts.map { (text) throws(SettingsError) in
        guard let place = Self.place(text) else {
          throw SettingsError("\(reader.file): \(path)listen: \(text) is not ADDRESS:PORT")
        }
        return place
      }
    }
    if let texts = try reader.texts(path + "clients") {
      do throws(RuleValueError) {
        let list = try AddressExpression("[" + texts.joined(separator: ",") + "]")
        interception.explicit.clients = try variables.resolve(list)
      } catch {
        throw SettingsError("\(reader.file): \(path)clients: \(error.message)")
      }
    }
    if let count = try reader.number(path + "negotiations", in: 1...1024) {
      interception.explicit.negotiationCountMax = count
    }
    if let allows = try reader.flag(path + "allow-local") { interception.explicit.allowsLocal = allows }
  }

  /// `ADDRESS:PORT`, an IPv6 address in brackets.
  static func place(_ text: String) -> (address: IPAddress, port: UInt16)? {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0
    else { return nil }
    var host = text[..<colon]
    if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
    return IPAddress(host).map { ($0, port) }
  }

  private mutating func readDecrypted(
    _ reader: inout SettingsReader, _ path: String
  ) throws(SettingsError) {
    if let file = try reader.text(path + "file") { interception.decrypted.file = file }
    if let size = try reader.size(path + "file-size") {
      guard size >= 65_536 else { throw SettingsError("\(reader.file): \(path)file-size must be 64kb or more") }
      interception.decrypted.fileBytesMax = size
    }
    if let count = try reader.number(path + "files", in: 1...1000) { interception.decrypted.fileCount = count }
    if let socket = try reader.text(path + "socket") { interception.decrypted.socket = socket }
    if let name = try reader.text(path + "interface") { interception.decrypted.interface = name }
    if let port = try reader.number(path + "server-port", in: 1...65_535) {
      interception.decrypted.serverPort = UInt16(port)
    }
  }
}
