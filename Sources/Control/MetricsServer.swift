import CSluiceLinux
import Engine
import Glibc
import Interception
import Synchronization

/// Answers `GET /metrics` for Prometheus, on a port of this machine or a unix socket.
///
/// One request a connection; whatever the path, there is one answer. No TLS and no password: bind it to
/// loopback (the default of a bare port) or to a unix socket.
public final class MetricsServer: Sendable {
  private let descriptor: Int32
  private let daemon: Daemon
  private let unixPath: String?
  private let thread = Mutex<WorkerThread?>(nil)

  private static let requestBytesMax = 8192
  private static let timeoutSeconds = 5

  /// - Parameter listen: `9119`, `127.0.0.1:9119`, `[::1]:9119`, or the path of a unix socket.
  public init(listen: String, daemon: Daemon) throws(ControlError) {
    self.daemon = daemon
    if listen.hasPrefix("/") || listen.hasPrefix("@") {
      unixPath = listen
      descriptor = unsafe sluice_unix_listen(listen)
    } else {
      unixPath = nil
      guard let end = MetricsAddress(listen) else {
        throw ControlError(message: "control.metrics: \(listen) is no port, address:port or path")
      }
      descriptor = unsafe sluice_tcp_listen(end.isIPv4 ? AF_INET : AF_INET6, end.octets, end.port)
    }
    guard descriptor >= 0 else { throw ControlError(message: "metrics \(listen): \(errorText(errno))") }
    do throws(InterceptionError) {
      let started = try WorkerThread.start { [self] in serve() }
      thread.withLock { $0 = started }
    } catch {
      close(descriptor)
      throw ControlError(message: error.description)
    }
  }

  public func stop() {
    shutdown(descriptor, Int32(SHUT_RDWR))
    thread.withLock { thread in
      thread?.join()
      thread = nil
    }
    close(descriptor)
    if let unixPath { unsafe unlink(unixPath) }
  }

  private func serve() {
    while true {
      let peer = accept(descriptor, nil, nil)
      if peer < 0 {
        if errno == EINTR || errno == ECONNABORTED || errno == EMFILE { continue }
        return
      }
      answer(peer)
      close(peer)
    }
  }

  private func answer(_ peer: Int32) {
    var timeout = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
    unsafe setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    unsafe setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var request: [UInt8] = []
    while !Self.isWhole(request), request.count < Self.requestBytesMax {
      guard let piece = StreamSocket.read(from: peer), !piece.isEmpty else { return }
      request += piece
    }
    let isGet = request.starts(with: Array("GET ".utf8))
    let body = isGet ? Array(MetricsText.text(daemon).utf8) : []
    let head =
      "HTTP/1.1 \(isGet ? "200 OK" : "405 Method Not Allowed")\r\nContent-Type: text/plain; version=0.0.4\r\n"
      + "Content-Length: \(body.count)\r\nConnection: close\r\n\r\n"
    _ = StreamSocket.write(Array(head.utf8) + body, to: peer)
    shutdown(peer, Int32(SHUT_WR))
  }

  private static func isWhole(_ request: [UInt8]) -> Bool {
    guard request.count >= 4 else { return false }
    return String(decoding: request, as: UTF8.self).contains("\r\n\r\n")
  }
}

/// An address and port to listen on; a bare port means loopback.
struct MetricsAddress: Equatable {
  var octets: [UInt8]
  var isIPv4: Bool
  var port: UInt16

  init?(_ text: String) {
    var host = "127.0.0.1"
    var number = Substring(text)
    if let colon = text.lastIndex(of: ":") {
      host = String(text[..<colon].drop { $0 == "[" }.prefix { $0 != "]" })
      number = text[text.index(after: colon)...]
    }
    guard let port = UInt16(number), port > 0, let address = MetricsAddress.address(host) else { return nil }
    self.port = port
    octets = address.octets
    isIPv4 = address.isIPv4
  }

  private static func address(_ text: String) -> (octets: [UInt8], isIPv4: Bool)? {
    var octets = [UInt8](repeating: 0, count: 16)
    // SAFETY: inet_pton writes 4 octets behind the twelfth, or 16 in all.
    return unsafe octets.withUnsafeMutableBytes { place -> (octets: [UInt8], isIPv4: Bool)? in
      guard let base = place.baseAddress else { return nil }
      if unsafe inet_pton(AF_INET, text, base + 12) == 1 {
        unsafe place[10] = 0xff
        unsafe place[11] = 0xff
        return (unsafe Array(place), true)
      }
      if unsafe inet_pton(AF_INET6, text, base) == 1 { return (unsafe Array(place), false) }
      return nil
    }
  }
}
