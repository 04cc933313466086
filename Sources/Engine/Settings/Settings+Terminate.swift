import Interception
import RuleLanguage
import Traffic

extension Settings {
  /// `interception.terminate`: a list of listeners, each with a site or a list of `sites`.
  mutating func readTerminate(_ reader: inout SettingsReader) throws(SettingsError) {
    let path = "interception.terminate"
    guard let value = reader.value(path) else { return }
    let items: [ConfigurationValue]
    switch value {
    case .list(let list): items = list
    case .map(let fields): items = fields.isEmpty ? [] : [value]
    case .scalar(let text):
      guard text.isEmpty else { throw SettingsError("\(reader.file): \(path) must be a list of listeners") }
      items = []
    }
    for (index, item) in items.enumerated() {
      let fields = try SectionReader(item, "\(reader.file): \(path) entry \(index + 1)")
      interception.terminate.listeners.append(try listener(fields))
    }
    var seen: Set<InterceptionSettings.Destination> = []
    for place in interception.terminate.listeners.flatMap(\.places) where !seen.insert(place).inserted {
      throw SettingsError("\(reader.file): \(path): two entries listen on \(place.address) port \(place.port)")
    }
  }

  private func listener(_ fields: SectionReader) throws(SettingsError) -> TerminationSettings.Listener {
    var fields = fields
    var listener = TerminationSettings.Listener()
    listener.places = try fields.texts("listen").map { (text) throws(SettingsError) in
      guard let place = Self.place(text) else { throw fields.wrong("listen", "\(text) is not ADDRESS:PORT") }
      return .init(address: place.address, port: place.port)
    }
    guard !listener.places.isEmpty else { throw fields.wrong("listen", "is missing: ADDRESS:PORT, one or a list") }
    listener.usesTLS = try fields.flag("tls") ?? true
    let senders = try fields.texts("accept-proxy")
    if !senders.isEmpty, senders != ["no"] {
      let set = try addresses(senders == ["yes"] ? ["any"] : senders, fields)
      listener.takesProxyHeader = { set.contains(high: $0.high, low: $0.low) }
    }
    listener.connectionCountMax = try fields.number("connections", 1...1_000_000) ?? listener.connectionCountMax
    listener.backlog = Int32(try fields.number("backlog", 1...1_000_000) ?? Int(listener.backlog))
    listener.atLimit = try fields.choice("at-limit") ?? .wait
    if let items = try fields.sections("sites") {
      for field in Self.siteFields { try fields.refuse(field, "belongs into `sites`, where there are any") }
      for item in items { listener.sites.append(try site(item, usesTLS: listener.usesTLS)) }
      try fields.end()
    } else {
      listener.sites = [try site(fields, usesTLS: listener.usesTLS, rest: Self.listenerFields)]
    }
    if !listener.usesTLS, listener.sites.count != 1 { throw fields.wrong("sites", "only clients that speak TLS name one of several") }
    if listener.sites.count(where: { $0.isDefault }) > 1 { throw fields.wrong("sites", "more than one is the default") }
    return listener
  }

  private static let listenerFields: Set<String> = [
    "listen", "tls", "accept-proxy", "connections", "backlog", "at-limit", "sites",
  ]
  private static let siteFields = [
    "names", "default", "certificate", "key", "client-certificate", "client-ca", "alpn", "forwarded", "backends",
    "backend-tls", "backend-name", "backend-trust", "backend-verify", "send-proxy", "check", "check-interval",
    "without-backend", "keep-alive", "keep-alive-time",
  ]

  private func addresses(_ texts: [String], _ fields: SectionReader) throws(SettingsError) -> AddressSet {
    do throws(RuleValueError) {
      return try variables.resolve(try AddressExpression("[" + texts.joined(separator: ",") + "]"))
    } catch {
      throw fields.wrong("accept-proxy", error.message)
    }
  }

  private func site(
    _ fields: SectionReader, usesTLS: Bool, rest: Set<String> = []
  ) throws(SettingsError) -> TerminationSettings.Site {
    var fields = fields
    var site = TerminationSettings.Site()
    site.names = try fields.texts("names").map { $0.lowercased() }
    site.isDefault = try fields.flag("default") ?? false
    site.certificateFile = try fields.text("certificate") ?? ""
    site.keyFile = try fields.text("key") ?? site.certificateFile
    site.name = site.names.first ?? fields.origin
    if usesTLS {
      guard !site.certificateFile.isEmpty else { throw fields.wrong("certificate", "is missing: the file of the site's certificates, its own first") }
      if let wrong = site.names.first(where: { $0.dropFirst($0.hasPrefix("*.") ? 2 : 0).contains("*") || $0.contains(":") }) {
        throw fields.wrong("names", "\(wrong) is no name; an asterisk stands for the first label alone")
      }
    } else {
      for field in ["names", "certificate", "key", "client-certificate", "client-ca"] {
        try fields.refuse(field, "has no meaning with tls: no")
      }
    }
    site.clientCertificate = try fields.choice("client-certificate") ?? .none
    site.clientAuthorities = try fields.text("client-ca")
    if site.clientCertificate != .none, site.clientAuthorities == nil {
      throw fields.wrong("client-ca", "is missing: whose certificates clients may show")
    }
    if let names = try fields.optionalTexts("alpn") { site.protocols = names.filter { $0 != "no" } }
    site.forwarded = try fields.choice("forwarded", yes: .replace) ?? .replace
    if site.forwarded != .no, site.protocols.contains("h2") {
      throw fields.wrong("alpn", "h2 needs forwarded: no, since requests within HTTP/2 are given no fields")
    }
    try readBackends(&fields, &site)
    try fields.end(but: rest)
    return site
  }

  private func readBackends(_ fields: inout SectionReader, _ site: inout TerminationSettings.Site) throws(SettingsError) {
    for text in try fields.texts("backends") {
      guard let place = Self.backend(text) else { throw fields.wrong("backends", "\(text) is neither HOST:PORT nor unix:/PATH") }
      site.backends.append(place)
    }
    guard !site.backends.isEmpty else { throw fields.wrong("backends", "is missing: HOST:PORT or unix:/PATH, one or a list") }
    let name = try fields.text("backend-name")
    let trust = try fields.text("backend-trust")
    let verifies = try fields.flag("backend-verify") ?? true
    if try fields.flag("backend-tls") ?? false {
      var tls = BackendTLS(name: name ?? Self.hostName(site.backends) ?? "")
      guard !tls.name.isEmpty || !verifies else {
        throw fields.wrong("backend-name", "is missing: the name that the backends' certificates bear")
      }
      tls.trustFile = trust
      tls.verifies = verifies
      site.backendTLS = tls
    } else {
      for field in ["backend-name", "backend-trust", "backend-verify"] {
        try fields.refuse(field, "has no meaning without backend-tls: yes")
      }
    }
    if let version = try fields.text("send-proxy"), version != "no" {
      guard let known = ProxyHeader.Version(rawValue: version) else {
        throw fields.wrong("send-proxy", "must be no, v1 or v2, not \(version)")
      }
      site.sendsProxyHeader = known
    }
    if let text = try fields.text("keep-alive") {
      if SettingsReader.flag(text) == false {
        site.keptCount = 0
      } else {
        site.keptCount = try fields.number("keep-alive", 0...1_024) ?? site.keptCount
      }
    }
    site.keptSeconds = Int64(try fields.number("keep-alive-time", 1...3600) ?? Int(site.keptSeconds))
    switch try fields.text("check") {
    case nil, "connect"?: site.check = .connect
    case "no"?, "none"?: site.check = .none
    case let path? where path.hasPrefix("/") && path.utf8.allSatisfy({ (0x21...0x7e).contains($0) }): site.check = .http(path: path)
    case let other?: throw fields.wrong("check", "must be connect, no or the path of a page, not \(other)")
    }
    site.checkSeconds = Int64(try fields.number("check-interval", 1...3600) ?? 5)
    switch try fields.text("without-backend") {
    case nil, "refuse"?: site.triesUnwell = false
    case "try"?: site.triesUnwell = true
    case let other?: throw fields.wrong("without-backend", "must be refuse or try, not \(other)")
    }
  }

  private static func hostName(_ backends: [BackendPlace]) -> String? {
    for case .tcp(let host, _) in backends where IPAddress(host) == nil { return host }
    return nil
  }

  private static func backend(_ text: String) -> BackendPlace? {
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst(5))
      // sun_path of unix(7) has 108 octets with its end.
      return path.hasPrefix("/") && path.utf8.count < 108 ? .unix(path) : nil
    }
    if let place = place(text) { return .tcp(host: "\(place.address)", port: place.port) }
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else { return nil }
    let host = text[..<colon]
    let isName = !host.isEmpty && host.utf8.count <= 253
      && host.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0 | 0x20) || $0 == 0x2d || $0 == 0x2e }
    // What looks like an address and is none is no name either.
    return isName && host.contains { $0.isLetter } ? .tcp(host: host.lowercased(), port: port) : nil
  }
}

/// The fields of one mapping within a list, with what is said when one is wrong.
struct SectionReader {
  let origin: String
  private let value: ConfigurationValue
  private var read: Set<String> = []

  init(_ value: ConfigurationValue, _ origin: String) throws(SettingsError) {
    guard case .map = value else { throw SettingsError("\(origin) must be a mapping") }
    self.value = value
    self.origin = origin
  }

  func wrong(_ key: String, _ text: String) -> SettingsError { SettingsError("\(origin): \(key) \(text)") }

  mutating func text(_ key: String) throws(SettingsError) -> String? {
    read.insert(key)
    switch value.at(key) {
    case nil: return nil
    case .scalar(let text)?: return text
    case .list?, .map?: throw wrong(key, "must be a single value")
    }
  }

  mutating func optionalTexts(_ key: String) throws(SettingsError) -> [String]? {
    read.insert(key)
    switch value.at(key) {
    case nil: return nil
    case .scalar(let text)?: return text.isEmpty ? [] : [text]
    case .map?: throw wrong(key, "must be a value or a list")
    case .list(let items)?:
      var texts: [String] = []
      for item in items {
        guard case .scalar(let text) = item else { throw wrong(key, "must be a list of single values") }
        texts.append(text)
      }
      return texts
    }
  }

  mutating func texts(_ key: String) throws(SettingsError) -> [String] { try optionalTexts(key) ?? [] }

  mutating func flag(_ key: String) throws(SettingsError) -> Bool? {
    guard let text = try text(key) else { return nil }
    guard let flag = SettingsReader.flag(text) else { throw wrong(key, "must be yes or no, not \(text)") }
    return flag
  }

  mutating func number(_ key: String, _ range: ClosedRange<Int>) throws(SettingsError) -> Int? {
    guard let text = try text(key) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw wrong(key, "must be a number from \(range.lowerBound) to \(range.upperBound), not \(text)")
    }
    return number
  }

  mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, yes: Choice? = nil
  ) throws(SettingsError) -> Choice? where Choice.RawValue == String {
    guard let text = try text(key) else { return nil }
    if let yes, SettingsReader.flag(text) == true { return yes }
    let plain = SettingsReader.flag(text) == false ? "no" : text
    if let known = Choice(rawValue: text) ?? Choice(rawValue: plain) { return known }
    throw wrong(key, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", ")), not \(text)")
  }

  mutating func sections(_ key: String) throws(SettingsError) -> [SectionReader]? {
    read.insert(key)
    guard let found = value.at(key) else { return nil }
    guard case .list(let items) = found, !items.isEmpty else { throw wrong(key, "must be a list of mappings") }
    var sections: [SectionReader] = []
    for (index, item) in items.enumerated() { sections.append(try SectionReader(item, "\(origin), site \(index + 1)")) }
    return sections
  }

  /// Says that a field must not be here, where it is.
  mutating func refuse(_ key: String, _ text: String) throws(SettingsError) {
    read.insert(key)
    if value.at(key) != nil { throw wrong(key, text) }
  }

  /// Nothing else may be there.
  func end(but others: Set<String> = []) throws(SettingsError) {
    guard case .map(let entries) = value else { return }
    let known = read.union(others)
    if let unknown = entries.first(where: { !known.contains($0.key) }) {
      throw SettingsError(
        "\(origin): there is no field \(unknown.key) (\(known.sorted().joined(separator: ", ")))")
    }
  }
}
