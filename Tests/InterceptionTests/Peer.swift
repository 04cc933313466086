import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Synchronization
import Testing

@testable import Interception

/// A blocking socket end, with or without TLS, as an ordinary program would use it.
///
/// SAFETY: used by one thread at a time; the SSL object is freed with the peer.
@safe
final class Peer: @unchecked Sendable {
  private(set) var descriptor: Int32
  private(set) var ssl: OpaquePointer?
  private var outer: [OpaquePointer] = unsafe []

  init(descriptor: Int32) {
    self.descriptor = descriptor
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    sluice_set_no_delay(descriptor)
  }
  deinit { close() }

  /// Connects to the port on 127.0.0.1 or ::1.
  ///
  /// - Parameter source: the last octet of 127.0.0.x to connect from.
  static func connect(port: UInt16, family: Int32 = AF_INET, source: UInt8? = nil) throws -> Peer {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
    try #require(descriptor >= 0)
    let peer = Peer(descriptor: descriptor)
    if let source {
      sluice_set_reuse_address(descriptor)
      let address = loopback(AF_INET).dropLast() + [source]
      try #require(unsafe sluice_bind(descriptor, AF_INET, Array(address), 0) == 0)
    }
    guard unsafe sluice_connect(descriptor, family, loopback(family), port) == 0 else {
      throw InterceptionError.system(call: "connect", reason: errorText(errno))
    }
    return peer
  }

  /// - Returns: whether the handshake succeeded.
  func startTLS(
    _ context: PeerContext, name: String? = nil, protocols: [String] = [], session: PeerSession? = nil
  ) -> Bool {
    Self.blockPipeSignal()
    unsafe ssl = SSL_new(context.pointer)
    guard let ssl = unsafe ssl else { return false }
    unsafe SSL_set_fd(ssl, descriptor)
    if let name {
      unsafe sluice_set_host_name(ssl, name)
      unsafe SSL_set1_host(ssl, name)
    }
    let list = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    if !list.isEmpty { unsafe SSL_set_alpn_protos(ssl, list, UInt32(list.count)) }
    if let session { unsafe SSL_set_session(ssl, session.pointer) }
    ERR_clear_error()
    let result = context.isServer ? unsafe SSL_accept(ssl) : unsafe SSL_connect(ssl)
    if result != 1 { handshakeError = OpenSSLErrors.drain() }
    return result == 1
  }

  /// TLS within the TLS that is spoken already.
  func startInnerTLS(_ context: PeerContext, name: String? = nil) -> Bool {
    Self.blockPipeSignal()
    guard let around = unsafe ssl, let made = unsafe SSL_new(context.pointer), let bio = unsafe BIO_new(BIO_f_ssl()) else { return false }
    // BIO_C_SET_SSL, without ownership.
    _ = unsafe BIO_ctrl(bio, 109, 0, UnsafeMutableRawPointer(around))
    unsafe SSL_set_bio(made, bio, bio)
    unsafe outer.append(around)
    unsafe ssl = made
    if let name {
      unsafe sluice_set_host_name(made, name)
      unsafe SSL_set1_host(made, name)
    }
    ERR_clear_error()
    let result = context.isServer ? unsafe SSL_accept(made) : unsafe SSL_connect(made)
    if result != 1 { handshakeError = OpenSSLErrors.drain() }
    return result == 1
  }

  var handshakeError: OpenSSLErrors?

  /// Some bytes; empty at the end, nil on an error such as RST.
  func read(max: Int = 65_536) -> [UInt8]? {
    Self.blockPipeSignal()
    var buffer = [UInt8](repeating: 0, count: max)
    if let ssl = unsafe ssl {
      ERR_clear_error()
      let got = unsafe SSL_read(ssl, &buffer, Int32(max))
      if got > 0 { return Array(buffer[0..<Int(got)]) }
      sawCloseNotify = unsafe SSL_get_error(ssl, got) == SSL_ERROR_ZERO_RETURN
      return sawCloseNotify ? [] : nil
    }
    let got = unsafe recv(descriptor, &buffer, max, 0)
    return got < 0 ? nil : Array(buffer[0..<got])
  }

  private(set) var sawCloseNotify = false

  func read(exactly count: Int) -> [UInt8]? {
    var all: [UInt8] = []
    while all.count < count {
      guard let more = read(max: min(65_536, count - all.count)), !more.isEmpty else { return nil }
      all += more
    }
    return all
  }

  /// Everything up to the end; nil where it breaks off.
  func readToEnd() -> [UInt8]? {
    var all: [UInt8] = []
    while true {
      guard let more = read() else { return nil }
      if more.isEmpty { return all }
      all += more
    }
  }

  @discardableResult
  func write(_ bytes: [UInt8]) -> Bool {
    Self.blockPipeSignal()
    var offset = 0
    while offset < bytes.count {
      let part = Array(bytes[offset..<min(bytes.count, offset + 65_536)])
      let sent: Int
      if let ssl = unsafe ssl {
        ERR_clear_error()
        sent = Int(unsafe SSL_write(ssl, part, Int32(part.count)))
      } else {
        sent = unsafe send(descriptor, part, part.count, Int32(MSG_NOSIGNAL))
      }
      if sent <= 0 { return false }
      offset += sent
    }
    return true
  }

  /// Writes all of `bytes` while it reads `count` octets, within TLS. On this thread alone: an SSL object
  /// must not be used by two at a time, not even for the two directions.
  ///
  /// - Returns: nil where the connection breaks off or stands still for 20 seconds.
  func exchange(_ bytes: [UInt8], reading count: Int) -> [UInt8]? {
    Self.blockPipeSignal()
    guard let ssl = unsafe ssl else { return nil }
    let flags = fcntl(descriptor, F_GETFL)
    _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    defer { _ = fcntl(descriptor, F_SETFL, flags) }
    // SSL_CTRL_MODE: partial writes, from another place of memory when tried again.
    _ = unsafe SSL_ctrl(ssl, 33, 3, nil)
    var sent = 0
    var got: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while sent < bytes.count || got.count < count {
      var isMoving = false
      if sent < bytes.count {
        let part = Array(bytes[sent..<min(bytes.count, sent + 65_536)])
        ERR_clear_error()
        let written = unsafe SSL_write(ssl, part, Int32(part.count))
        guard unsafe written > 0 || isWaiting(ssl, written) else { return nil }
        isMoving = written > 0
        sent += Int(max(0, written))
      }
      if got.count < count {
        ERR_clear_error()
        let read = unsafe SSL_read(ssl, &buffer, Int32(min(buffer.count, count - got.count)))
        guard unsafe read > 0 || isWaiting(ssl, read) else { return nil }
        if read > 0 {
          isMoving = true
          got += buffer[0..<Int(read)]
        }
      }
      if !isMoving {
        let events = Int16(POLLIN) | (sent < bytes.count ? Int16(POLLOUT) : 0)
        var waiting = pollfd(fd: descriptor, events: events, revents: 0)
        guard unsafe poll(&waiting, 1, 20_000) > 0 else { return nil }
      }
    }
    return got
  }

  private func isWaiting(_ ssl: OpaquePointer, _ result: Int32) -> Bool {
    let code = unsafe SSL_get_error(ssl, result)
    return code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE
  }

  /// close_notify, or FIN without TLS.
  func endWriting() {
    if let ssl = unsafe ssl { unsafe SSL_shutdown(ssl) } else { shutdown(descriptor, Int32(SHUT_WR)) }
  }

  func sendFIN() { shutdown(descriptor, Int32(SHUT_WR)) }

  func close(reset: Bool = false) {
    if let ssl = unsafe ssl { unsafe SSL_free(ssl) }
    unsafe ssl = nil
    for index in unsafe outer.indices.reversed() { unsafe SSL_free(outer[index]) }
    unsafe outer = []
    guard descriptor >= 0 else { return }
    if reset { sluice_set_reset_on_close(descriptor) }
    Glibc.close(descriptor)
    descriptor = -1
  }

  /// The certificate the other side showed.
  func certificate() -> Certificate? {
    guard let ssl = unsafe ssl, let found = unsafe SSL_get1_peer_certificate(ssl) else { return nil }
    return unsafe Certificate(adopting: found)
  }

  var version: UInt16 { unsafe ssl.map { UInt16(truncatingIfNeeded: unsafe SSL_version($0)) } ?? 0 }
  var wasResumed: Bool { unsafe ssl.map { unsafe sluice_session_reused($0) == 1 } ?? false }

  func session() -> PeerSession? {
    guard let ssl = unsafe ssl, let session = unsafe SSL_get1_session(ssl) else { return nil }
    return unsafe PeerSession(session)
  }

  var selectedProtocol: String? {
    guard let ssl = unsafe ssl else { return nil }
    var bytes: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    unsafe SSL_get0_alpn_selected(ssl, &bytes, &count)
    guard let bytes = unsafe bytes else { return nil }
    return String(decoding: unsafe [UInt8](UnsafeBufferPointer(start: bytes, count: Int(count))), as: UTF8.self)
  }

  static func loopback(_ family: Int32) -> [UInt8] {
    family == AF_INET6
      ? [UInt8](repeating: 0, count: 15) + [1]
      : [UInt8](repeating: 0, count: 10) + [255, 255, 127, 0, 0, 1]
  }

  /// OpenSSL's own socket BIO writes without MSG_NOSIGNAL; the code under test must not need this.
  private static func blockPipeSignal() {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, SIGPIPE)
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }
}

/// SAFETY: owned, freed once.
@safe
final class PeerSession: @unchecked Sendable {
  let pointer: OpaquePointer
  init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe SSL_SESSION_free(pointer) }
}

/// TLS settings of a test's own client or server.
///
/// SAFETY: owned, freed once; SSL_CTX may be shared by threads.
@safe
final class PeerContext: @unchecked Sendable {
  let pointer: OpaquePointer
  let isServer: Bool

  /// A client that trusts `authority` alone; nil trusts anyone.
  static func client(trusting authority: CertificateAuthority?, version: Int32 = 0, lowest: Int32? = nil) throws -> PeerContext {
    guard let pointer = unsafe SSL_CTX_new(TLS_client_method()) else { throw InterceptionError.library("context") }
    if version != 0 {
      unsafe sluice_ctx_set_min_version(pointer, lowest ?? version)
      unsafe sluice_ctx_set_max_version(pointer, version)
    }
    if let authority {
      unsafe X509_STORE_add_cert(SSL_CTX_get_cert_store(pointer), authority.certificate.pointer)
      unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
    }
    return unsafe PeerContext(pointer, isServer: false)
  }

  static func server(_ certificate: Certificate, _ key: PrivateKey, version: Int32 = 0, protocols: [String] = []) throws -> PeerContext {
    guard let pointer = unsafe SSL_CTX_new(TLS_server_method()) else { throw InterceptionError.library("context") }
    if version != 0 {
      unsafe sluice_ctx_set_min_version(pointer, version)
      unsafe sluice_ctx_set_max_version(pointer, version)
    }
    try #require(unsafe SSL_CTX_use_certificate(pointer, certificate.pointer) == 1)
    try #require(unsafe SSL_CTX_use_PrivateKey(pointer, key.pointer) == 1)
    unsafe SSL_CTX_set_session_id_context(pointer, [1], 1)
    if protocols.contains("http/1.1") {
      unsafe SSL_CTX_set_alpn_select_cb(pointer, { _, out, count, offered, offeredCount, _ in
        guard let offered = unsafe offered else { return SSL_TLSEXT_ERR_NOACK }
        // The first one offered.
        unsafe out?.pointee = offered + 1
        unsafe count?.pointee = offered[0]
        return offeredCount > 0 ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK
      }, nil)
    }
    return unsafe PeerContext(pointer, isServer: true)
  }

  private init(_ pointer: OpaquePointer, isServer: Bool) {
    unsafe self.pointer = pointer
    self.isServer = isServer
  }
  deinit { unsafe SSL_CTX_free(pointer) }
}

private final class ThreadList: Sendable {
  private let threads = Mutex<[WorkerThread]>([])
  func add(_ thread: WorkerThread) { threads.withLock { $0.append(thread) } }
  func next() -> WorkerThread? { threads.withLock { $0.isEmpty ? nil : $0.removeFirst() } }
}

/// A server on loopback with one thread for each connection.
final class PeerServer: Sendable {
  let port: UInt16
  private let listener: Int32
  private let threads = ThreadList()

  init(family: Int32 = AF_INET, _ handler: @escaping @Sendable (Peer) -> Void) throws {
    let listener = socket(family, Int32(SOCK_STREAM.rawValue), 0)
    try #require(listener >= 0)
    try #require(unsafe sluice_bind(listener, family, Peer.loopback(family), 0) == 0)
    try #require(listen(listener, 1_024) == 0)
    self.listener = listener
    port = try #require(localName(listener)).port
    let acceptor = try WorkerThread.start { [threads] in
      while case let descriptor = accept(listener, nil, nil), descriptor >= 0 {
        let peer = Peer(descriptor: descriptor)
        guard let thread = try? WorkerThread.start({
          handler(peer)
          peer.close()
        }) else { continue }
        threads.add(thread)
      }
    }
    threads.add(acceptor)
  }

  /// Waits for every connection's thread.
  func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
    // The acceptor is first; once it ended no thread is added.
    while let thread = threads.next() { thread.join() }
    Glibc.close(listener)
  }
}
