import CSluiceLinux
import Glibc
import Synchronization
import Traffic

/// What an explicit proxy may be asked, and by whom.
public struct ProxySettings: Sendable {
  /// Where it listens.
  public var listen: [InterceptionSettings.Destination] = []
  /// Negotiations at a time, each on a thread; further clients wait in the kernel's queue.
  public var negotiationCountMax = 16
  /// From the first octet to the server's answer.
  public var timeoutMilliseconds: Int64 = 10_000
  /// Whether a client may connect.
  public var isClientAllowed: @Sendable (IPAddress) -> Bool = { _ in true }
  /// Whether this machine's own services and its link's can be reached through the proxy.
  public var allowsLocal = false

  public init() {}
}

/// What the proxy counted since its start.
public struct ProxyCounters: Sendable, Equatable {
  public var accepted: UInt64 = 0
  public var granted: UInt64 = 0
  public var clientsRefused: UInt64 = 0
  public var malformed: UInt64 = 0
  public var timeouts: UInt64 = 0
  public var forbidden: UInt64 = 0
  public var unreachable: UInt64 = 0
}

/// The explicit face of the stage: clients name their server by `CONNECT`, an absolute URI or SOCKS;
/// once it is reached, the connection goes to a worker like any other.
///
/// Negotiations block, on a few threads of their own: names have to be looked up, and the workers
/// must not wait for that.
public final class ProxyListener: Sendable {
  private let settings: ProxySettings
  private let workers: [InterceptionMailbox]
  private let listeners: [Int32]
  private let threads = Mutex<[WorkerThread]>([])
  private let isStopping = Atomic(false)
  private let next = Atomic(0)
  private let counted = Mutex(ProxyCounters())

  /// - Throws: where a port is in use.
  public init(_ settings: ProxySettings, workers: [InterceptionMailbox]) throws(InterceptionError) {
    self.settings = settings
    self.workers = workers
    var listeners: [Int32] = []
    for place in settings.listen {
      do throws(InterceptionError) {
        listeners.append(try Self.listen(place))
      } catch {
        for descriptor in listeners { close(descriptor) }
        throw error
      }
    }
    self.listeners = listeners
    do throws(InterceptionError) {
      for descriptor in listeners {
        for _ in 0..<max(1, settings.negotiationCountMax) {
          let started = try WorkerThread.start { [self] in serve(descriptor) }
          threads.withLock { $0.append(started) }
        }
      }
    } catch {
      stop()
      throw error
    }
  }

  /// Ends negotiations; connections that were handed over go on.
  public func stop() {
    isStopping.store(true, ordering: .releasing)
    for descriptor in listeners { shutdown(descriptor, Int32(SHUT_RDWR)) }
    let all = threads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    for thread in all { thread.join() }
    for descriptor in listeners { close(descriptor) }
  }

  public var counters: ProxyCounters { counted.withLock { $0 } }

  private static func listen(_ place: InterceptionSettings.Destination) throws(InterceptionError) -> Int32 {
    let family = place.address.isIPv4 ? AF_INET : AF_INET6
    let descriptor = sluice_tcp_socket(family)
    guard descriptor >= 0 else { throw .system(call: "socket", reason: errorText(errno)) }
    if sluice_set_reuse_address(descriptor) == 0,
      unsafe sluice_bind(descriptor, family, place.address.octets16, place.port) == 0,
      Glibc.listen(descriptor, 256) == 0
    {
      return descriptor
    }
    let reason = errorText(errno)
    close(descriptor)
    throw .system(call: "listen on port \(place.port)", reason: reason)
  }

  // MARK: Negotiations

  private func serve(_ listener: Int32) {
    while !isStopping.load(ordering: .acquiring) {
      var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&waiting, 1, 1000) > 0 else { continue }
      let descriptor = sluice_accept(listener)
      guard descriptor >= 0 else { continue }
      counted.withLock { $0.accepted &+= 1 }
      if !negotiate(descriptor) { close(descriptor) }
    }
  }

  /// - Returns: whether a worker has the connection now.
  private func negotiate(_ client: Int32) -> Bool {
    guard let name = peerName(client), settings.isClientAllowed(name.address) else {
      counted.withLock { $0.clientsRefused &+= 1 }
      return false
    }
    let deadline = sluice_clock_monotonic() + settings.timeoutMilliseconds * 1_000_000
    var negotiation = ProxyNegotiation()
    var octets: [UInt8] = []
    while true {
      switch negotiation.feed(octets) {
      case .needMore:
        guard let more = receive(client, deadline) else { return false }
        octets = more
      case .reply(let answer):
        guard send(answer, to: client, deadline) else { return false }
        octets = []
      case .refused(let answer, _):
        counted.withLock { $0.malformed &+= 1 }
        _ = send(answer, to: client, deadline)
        return false
      case .request(let request):
        return connect(client, name, request, deadline)
      }
    }
  }

  private func connect(
    _ client: Int32, _ name: SocketName, _ request: ProxyRequest, _ deadline: Int64
  ) -> Bool {
    let upstream: (descriptor: Int32, place: SocketName)
    switch reach(request, deadline) {
    case .failure(let failure):
      counted.withLock {
        if failure.denial == .forbidden { $0.forbidden &+= 1 } else { $0.unreachable &+= 1 }
      }
      _ = send(request.denied(failure.denial), to: client, deadline)
      return false
    case .success(let reached): upstream = reached
    }
    guard send(request.granted, to: client, deadline) else {
      close(upstream.descriptor)
      return false
    }
    counted.withLock { $0.granted &+= 1 }
    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
    workers[Int(UInt(bitPattern: index) % UInt(workers.count))].adopt(
      AdoptedConnection(
        client: client, upstream: upstream.descriptor, clientName: name, destination: upstream.place,
        clientBytes: request.first))
    return true
  }

  private struct Failure: Error { var denial: ProxyDenial }

  /// Tries the addresses of the name one after the other.
  private func reach(
    _ request: ProxyRequest, _ deadline: Int64
  ) -> Result<(descriptor: Int32, place: SocketName), Failure> {
    let all = Self.addresses(request.host)
    guard !all.isEmpty else { return .failure(Failure(denial: .noSuchName)) }
    let allowed = settings.allowsLocal ? all : all.filter { !$0.isLocal }
    var denial = ProxyDenial.forbidden
    for address in allowed {
      let place = SocketName(address: address, port: request.port)
      switch dial(place, deadline) {
      case .success(let descriptor): return .success((descriptor, place))
      case .failure(let failure): denial = failure.denial
      }
    }
    return .failure(Failure(denial: denial))
  }

  private static func addresses(_ host: String) -> [IPAddress] {
    if let address = IPAddress(host) { return [address] }
    var octets = [UInt8](repeating: 0, count: 16 * 8)
    // SAFETY: the C side writes at most eight addresses of 16 octets.
    let count = unsafe octets.withUnsafeMutableBufferPointer { unsafe sluice_resolve(host, $0.baseAddress, 8) }
    return (0..<Int(max(0, count))).map { IPAddress(octets16: Array(octets[(16 * $0)..<(16 * $0 + 16)])) }
  }

  private func dial(_ place: SocketName, _ deadline: Int64) -> Result<Int32, Failure> {
    let family = place.address.isIPv4 ? AF_INET : AF_INET6
    let descriptor = sluice_tcp_socket(family)
    guard descriptor >= 0 else { return .failure(Failure(denial: .unreachable)) }
    var code: Int32 = 0
    if unsafe sluice_connect(descriptor, family, place.address.octets16, place.port) != 0 { code = errno }
    if code == EINPROGRESS {
      code = wait(descriptor, POLLOUT, deadline) ? sluice_socket_error(descriptor) : ETIMEDOUT
    }
    if code == 0 {
      // Connected to itself: the machine's own services, or this proxy again.
      if settings.allowsLocal || localName(descriptor)?.address != place.address { return .success(descriptor) }
      close(descriptor)
      return .failure(Failure(denial: .forbidden))
    }
    close(descriptor)
    switch code {
    case ECONNREFUSED: return .failure(Failure(denial: .refused))
    case ETIMEDOUT: return .failure(Failure(denial: .timedOut))
    default: return .failure(Failure(denial: .unreachable))
    }
  }

  // MARK: Octets

  /// nil at the end, at the deadline, or when the proxy stops.
  private func receive(_ descriptor: Int32, _ deadline: Int64) -> [UInt8]? {
    guard wait(descriptor, POLLIN, deadline) else {
      counted.withLock { $0.timeouts &+= 1 }
      return nil
    }
    var octets = [UInt8](repeating: 0, count: 4096)
    let count = unsafe sluice_recv(descriptor, &octets, octets.count)
    guard count > 0 else { return nil }
    return Array(octets[..<count])
  }

  private func send(_ bytes: [UInt8], to descriptor: Int32, _ deadline: Int64) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      // SAFETY: the pointer is used within the call, with the slice's own count.
      let count = unsafe rest.withUnsafeBytes { unsafe sluice_send(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else {
        guard errno == EAGAIN, wait(descriptor, POLLOUT, deadline) else { return false }
      }
    }
    return true
  }

  /// Whether the descriptor was ready before the deadline.
  private func wait(_ descriptor: Int32, _ events: Int32, _ deadline: Int64) -> Bool {
    while !isStopping.load(ordering: .acquiring) {
      let left = (deadline - sluice_clock_monotonic()) / 1_000_000
      guard left > 0 else { return false }
      var waiting = pollfd(fd: descriptor, events: Int16(events), revents: 0)
      // Short enough for an end of the program not to take long.
      if unsafe poll(&waiting, 1, Int32(clamping: min(left, 500))) > 0 { return true }
    }
    return false
  }
}

extension IPAddress {
  /// This machine, this network, this link, or nobody: what a client has no business to reach by a proxy.
  /// - Source: RFC 6890, RFC 4291 section 2.4.
  var isLocal: Bool {
    if isIPv4 {
      return ipv4 >> 24 == 0 || ipv4 >> 24 == 127 || ipv4 >> 16 == 0xa9fe || ipv4 >> 28 >= 0xe
    }
    return (high == 0 && low <= 1) || high >> 54 == 0xfe80 >> 6 || high >> 56 == 0xff
  }
}
