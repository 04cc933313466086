import CSluiceLinux
import Glibc
import Synchronization
import Traffic

/// One site as connections use it; stays with each of them, whatever a reload brings.
final class TerminatedSite: Sendable {
  let settings: TerminationSettings.Site
  /// nil where clients speak in the clear.
  let context: TLSContext?
  let backendContext: TLSContext?
  let pool: BackendPool
  private let nextTurn = Atomic(0)

  init(
    _ settings: TerminationSettings.Site, context: TLSContext?, backendContext: TLSContext?, pool: BackendPool
  ) {
    self.settings = settings
    self.context = context
    self.backendContext = backendContext
    self.pool = pool
  }

  var isHTTP: Bool { settings.forwarded != .no }

  func turn() -> Int { nextTurn.wrappingAdd(1, ordering: .relaxed).oldValue }

  /// What both speak, by this side's preference.
  func selectProtocol(_ offered: [String]) -> String? { settings.protocols.first { offered.contains($0) } }
}

/// How many connections a listener has, over all workers and whatever plan they began under.
final class ListenerLoad: Sendable {
  private let activeCount = Atomic(0)
  var active: Int { activeCount.load(ordering: .relaxed) }

  /// - Returns: false at the limit.
  func enter(max: Int) -> Bool {
    if activeCount.wrappingAdd(1, ordering: .relaxed).newValue <= max { return true }
    leave()
    return false
  }
  func leave() { activeCount.wrappingSubtract(1, ordering: .relaxed) }
}

/// What stands behind one listener.
final class TerminatedListener: Sendable {
  let settings: TerminationSettings.Listener
  let load: ListenerLoad
  private let exact: [String: TerminatedSite]
  private let wildcards: [String: TerminatedSite]
  let fallback: TerminatedSite?
  let sites: [TerminatedSite]

  init(
    _ settings: TerminationSettings.Listener, load: ListenerLoad, sites: [(site: TerminatedSite, names: [String])]
  ) {
    self.settings = settings
    self.load = load
    self.sites = sites.map(\.site)
    var exact: [String: TerminatedSite] = [:]
    var wildcards: [String: TerminatedSite] = [:]
    // The first site that has a name keeps it.
    for (site, names) in sites.reversed() {
      for name in names {
        if name.hasPrefix("*.") { wildcards[String(name.dropFirst(2))] = site } else { exact[name] = site }
      }
    }
    self.exact = exact
    self.wildcards = wildcards
    fallback = sites.count == 1 ? sites[0].site : sites.first { $0.site.settings.isDefault }?.site
  }

  /// The site of a name: the name itself, then a wildcard of one label, then the default.
  func site(for name: String?) -> TerminatedSite? {
    guard let name else { return fallback }
    if let site = exact[name] { return site }
    if let dot = name.firstIndex(of: "."), let site = wildcards[String(name[name.index(after: dot)...])] { return site }
    return fallback
  }
}

/// All sites as of one reading of the settings; replaced whole.
public final class TerminationPlan: Sendable {
  let listeners: [TerminatedListener]
  let backends: [(backend: Backend, context: TLSContext?)]

  /// Reads certificates and looks up names.
  ///
  /// - Parameter previous: whose backends and loads go on, where they are the same.
  /// - Throws: what is missing or does not fit, with the file.
  public init(
    _ settings: TerminationSettings, tickets: TicketKeys, keyLog: KeyLog?, previous: TerminationPlan? = nil
  ) throws(TerminationError) {
    var known: [Backend.Identity: Backend] = [:]
    for entry in previous?.backends ?? [] { known[entry.backend.identity] = entry.backend }
    var all: [(backend: Backend, context: TLSContext?)] = []
    var listeners: [TerminatedListener] = []
    for (index, listener) in settings.listeners.enumerated() {
      var sites: [(site: TerminatedSite, names: [String])] = []
      for site in listener.sites {
        let backendContext = try Self.backendContext(site, keyLog)
        var backends: [Backend] = []
        for identity in try Self.identities(site) {
          let backend = known[identity] ?? Backend(identity)
          if known[identity] == nil || !all.contains(where: { $0.backend === backend }) { all.append((backend, backendContext)) }
          known[identity] = backend
          backends.append(backend)
        }
        let pool = BackendPool(backends: backends, triesUnwell: site.triesUnwell)
        guard listener.usesTLS else {
          sites.append((TerminatedSite(site, context: nil, backendContext: backendContext, pool: pool), []))
          continue
        }
        let (context, names) = try Self.context(site, tickets, keyLog)
        let made = TerminatedSite(site, context: context, backendContext: backendContext, pool: pool)
        sites.append((made, site.names.isEmpty ? names : site.names))
      }
      let load = previous.flatMap { index < $0.listeners.count ? $0.listeners[index].load : nil } ?? ListenerLoad()
      listeners.append(TerminatedListener(listener, load: load, sites: sites))
    }
    self.listeners = listeners
    backends = all
  }

  /// Where all listeners are, in order: what a reload cannot change.
  public static func places(_ settings: TerminationSettings) -> [[InterceptionSettings.Destination]] {
    settings.listeners.map(\.places)
  }

  // MARK: Reading

  private static func context(
    _ site: TerminationSettings.Site, _ tickets: TicketKeys, _ keyLog: KeyLog?
  ) throws(TerminationError) -> (TLSContext, [String]) {
    let chain = Certificate.readAll(pem: try read(site.certificateFile, site))
    guard let leaf = chain.first else {
      throw TerminationError("\(site.name): \(site.certificateFile) holds no certificate in PEM form")
    }
    guard let key = PrivateKey.read(pem: try read(site.keyFile, site)) else {
      throw TerminationError("\(site.name): \(site.keyFile) holds no unencrypted private key in PEM form")
    }
    guard key.matches(leaf) else {
      throw TerminationError("\(site.name): the key in \(site.keyFile) is not that of \(site.certificateFile)")
    }
    let certificate = SiteCertificate(chain: chain, key: key)
    var authorities: [UInt8] = []
    if let file = site.clientAuthorities {
      authorities = try read(file, site)
      guard !Certificate.readAll(pem: authorities).isEmpty else {
        throw TerminationError("\(site.name): \(file) holds no certificate in PEM form")
      }
    }
    // What a client showed once is not asked for again within its session, so that the session holds only
    // where the same is asked.
    let identity = sha256(
      leaf.fingerprint() + Array(site.clientCertificate.rawValue.utf8) + sha256(authorities) + Array(site.name.utf8))
    do throws(InterceptionError) {
      let context = try TLSContext.site(
        certificate, clientAuthorities: site.clientAuthorities, asks: site.clientCertificate, tickets: tickets,
        identity: identity, keyLog: keyLog)
      return (context, certificate.names)
    } catch {
      throw TerminationError("\(site.name): \(site.certificateFile): \(error.description)")
    }
  }

  private static func backendContext(
    _ site: TerminationSettings.Site, _ keyLog: KeyLog?
  ) throws(TerminationError) -> TLSContext? {
    guard let tls = site.backendTLS else { return nil }
    do throws(InterceptionError) {
      return try TLSContext.backend(tls, keyLog: keyLog)
    } catch {
      throw TerminationError("\(site.name): \(error.description)")
    }
  }

  private static func identities(_ site: TerminationSettings.Site) throws(TerminationError) -> [Backend.Identity] {
    var all: [Backend.Identity] = []
    for place in site.backends {
      var addresses: [SocketName?] = [nil]
      if case .tcp(let host, let port) = place {
        addresses = resolve(host).map { SocketName(address: $0, port: port) }
        if addresses.isEmpty { throw TerminationError("\(site.name): the backend \(place) has no address") }
      }
      for address in addresses {
        all.append(
          Backend.Identity(
            place: place, address: address, tls: site.backendTLS, check: site.check, checkSeconds: site.checkSeconds,
            proxyHeader: site.sendsProxyHeader))
      }
    }
    return all
  }

  private static func resolve(_ host: String) -> [IPAddress] {
    if let address = IPAddress(host) { return [address] }
    var octets = [UInt8](repeating: 0, count: 16 * 8)
    // SAFETY: the C side writes at most eight addresses of 16 octets.
    let count = unsafe octets.withUnsafeMutableBufferPointer { unsafe sluice_resolve(host, $0.baseAddress, 8) }
    return (0..<Int(max(0, count))).map { IPAddress(octets16: Array(octets[(16 * $0)..<(16 * $0 + 16)])) }
  }

  /// Certificates and keys are small; more than this is no such file.
  private static let fileBytesMax = 4 << 20

  private static func read(_ path: String, _ site: TerminationSettings.Site) throws(TerminationError) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TerminationError("\(site.name): cannot read \(path): \(errorText(errno))") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      // SAFETY: the array is as long as the count says.
      let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
      if count == 0 { return bytes }
      guard count > 0 else { throw TerminationError("\(site.name): cannot read \(path): \(errorText(errno))") }
      bytes += buffer[..<count]
      guard bytes.count <= fileBytesMax else { throw TerminationError("\(site.name): \(path) is larger than 4 MB") }
    }
  }
}

/// The plan in force, for all workers.
public final class TerminationPublication: Sendable {
  private let plan: Mutex<TerminationPlan>
  public init(_ plan: TerminationPlan) { self.plan = Mutex(plan) }

  public var current: TerminationPlan { plan.withLock { $0 } }
  public func publish(_ new: TerminationPlan) { plan.withLock { $0 = new } }

  func listener(_ index: Int) -> TerminatedListener? {
    let listeners = current.listeners
    return index < listeners.count ? listeners[index] : nil
  }
}
