import CSluiceLinux
import Glibc
import Traffic

/// A listening socket that takes connections meant for others.
public struct ListenerSettings: Sendable {
  /// The address to bind; unspecified for every destination that TPROXY delivers.
  public var address: IPAddress
  /// 0 lets the kernel choose.
  public var port: UInt16
  /// IP_TRANSPARENT; needs CAP_NET_ADMIN.
  public var isTransparent = true
  /// SO_MARK of the listener and of what it accepts; 0 for none.
  public var mark: UInt32 = 0x100
  /// Connections the kernel queues; further SYNs are dropped and come again.
  public var backlog: Int32 = 4_096

  public init(address: IPAddress, port: UInt16) {
    self.address = address
    self.port = port
  }

  public static func anyIPv4(port: UInt16) -> ListenerSettings { ListenerSettings(address: IPAddress(ipv4: 0), port: port) }
  public static func anyIPv6(port: UInt16) -> ListenerSettings {
    ListenerSettings(address: IPAddress(high: 0, low: 0), port: port)
  }
}

/// A listening socket; closed with its last owner.
///
/// SO_REUSEPORT is set, so that each worker may have its own on the same port.
public final class ListenerSocket: Sendable {
  let descriptor: Int32

  public init(_ settings: ListenerSettings) throws(InterceptionError) {
    let family = settings.address.isIPv4 ? AF_INET : AF_INET6
    let descriptor = sluice_tcp_socket(family)
    guard descriptor >= 0 else { throw .system(call: "socket", reason: errorText(errno)) }
    self.descriptor = descriptor
    try Self.check("SO_REUSEADDR", sluice_set_reuse_address(descriptor))
    try Self.check("SO_REUSEPORT", sluice_set_reuse_port(descriptor))
    if family == AF_INET6 { try Self.check("IPV6_V6ONLY", sluice_set_v6_only(descriptor)) }
    if settings.mark != 0 { try Self.check("SO_MARK", sluice_set_mark(descriptor, settings.mark)) }
    if settings.isTransparent { try Self.check("IP_TRANSPARENT", sluice_set_transparent(descriptor, family)) }
    try Self.check("bind", unsafe sluice_bind(descriptor, family, settings.address.octets16, settings.port))
    try Self.check("listen", listen(descriptor, settings.backlog))
  }

  /// The port, also where the kernel chose it.
  public var port: UInt16 { localName(descriptor)?.port ?? 0 }

  deinit { close(descriptor) }

  private static func check(_ call: String, _ result: Int32) throws(InterceptionError) {
    guard result == 0 else { throw .system(call: call, reason: errorText(errno)) }
  }
}

typealias SocketName = InterceptionSettings.Destination

func localName(_ descriptor: Int32) -> SocketName? {
  var octets = [UInt8](repeating: 0, count: 16)
  var port: UInt16 = 0
  guard unsafe sluice_local_name(descriptor, &octets, &port) == 0 else { return nil }
  return SocketName(address: IPAddress(octets16: octets), port: port)
}

func peerName(_ descriptor: Int32) -> SocketName? {
  var octets = [UInt8](repeating: 0, count: 16)
  var port: UInt16 = 0
  guard unsafe sluice_peer_name(descriptor, &octets, &port) == 0 else { return nil }
  return SocketName(address: IPAddress(octets16: octets), port: port)
}

extension IPAddress {
  /// 16 octets in network order, IPv4 as ::ffff:a.b.c.d.
  var octets16: [UInt8] {
    (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64(56 - 8 * ($0 % 8))) }
  }

  init(octets16 octets: [UInt8]) {
    func word(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
    self.init(high: word(octets[0..<8]), low: word(octets[8..<16]))
  }
}

/// How a call to a server came out at once.
enum DialOutcome {
  /// Under way or already connected; epoll tells.
  case started(SocketStream, DialSource)
  case failed(Int32)
}

/// As whom a server was called.
enum DialSource {
  case client
  /// The client's address, yet a port the kernel chose.
  case clientAddressOnly
  case own
}

/// Calls servers, from the client's address and port where that is wanted.
struct Dialer {
  let source: InterceptionSettings.SourceAddress
  let mark: UInt32

  func dial(_ destination: SocketName, asClient client: SocketName) -> DialOutcome {
    switch source {
    case .own: return attempt(destination, nil, .own)
    case .client: return attemptAsClient(destination, client)
    case .clientOrOwn:
      let outcome = attemptAsClient(destination, client)
      if case .failed = outcome { return attempt(destination, nil, .own) }
      return outcome
    }
  }

  /// The port is the client's own: both legs then share one 5-tuple, and a port of the kernel's
  /// choice could be one the client itself uses towards that server. It is taken only where the
  /// tuple lingers in TIME_WAIT, since the alternative is no connection at all.
  private func attemptAsClient(_ destination: SocketName, _ client: SocketName) -> DialOutcome {
    let outcome = attempt(destination, client, .client)
    guard case .failed(let code) = outcome, code == EADDRNOTAVAIL || code == EADDRINUSE else { return outcome }
    return attempt(destination, SocketName(address: client.address, port: 0), .clientAddressOnly)
  }

  private func attempt(_ destination: SocketName, _ client: SocketName?, _ source: DialSource) -> DialOutcome {
    let family = destination.address.isIPv4 ? AF_INET : AF_INET6
    let descriptor = sluice_tcp_socket(family)
    guard descriptor >= 0 else { return .failed(errno) }
    let stream = SocketStream(descriptor: descriptor)
    if mark != 0, sluice_set_mark(descriptor, mark) != 0 { return .failed(errno) }
    if let client {
      guard sluice_set_reuse_address(descriptor) == 0, sluice_set_transparent(descriptor, family) == 0,
        unsafe sluice_bind(descriptor, family, client.address.octets16, client.port) == 0
      else { return .failed(errno) }
    }
    sluice_set_no_delay(descriptor)
    let result = unsafe sluice_connect(descriptor, family, destination.address.octets16, destination.port)
    guard result == 0 || errno == EINPROGRESS else { return .failed(errno) }
    return .started(stream, source)
  }
}
