import CSluiceLinux
import Glibc
import Traffic

/// Gives every reader that connects what is decrypted from then on, as one pcapng stream
/// ("pcap over IP"). A reader that is too slow is cut off: it must not hold up traffic.
final class DecryptedListener {
  private struct Reader {
    var descriptor: Int32
    /// Octets up to `start` were sent.
    var waiting: [UInt8]
    var start = 0
  }

  /// Octets that may wait for one reader.
  static let waitingBytesMax = 16 << 20
  static let readerCountMax = 16

  let descriptor: Int32
  /// The socket's name, to be taken away at the end.
  private let path: String?
  private let header: [UInt8]
  private var readers: [Reader] = []
  private(set) var slowReaderCount: UInt64 = 0

  /// - Parameter address: a path, or ADDRESS:PORT.
  /// - Throws: where it is in use or is no address.
  init(_ address: String, header: [UInt8]) throws(SettingsError) {
    self.header = header
    if address.hasPrefix("/") {
      path = address
      descriptor = unsafe sluice_unix_listen(address)
      if descriptor >= 0 { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
    } else {
      path = nil
      guard let (host, port) = Settings.place(address)
      else { throw SettingsError("interception.decrypted.socket: \(address) is neither a path nor ADDRESS:PORT") }
      descriptor = Self.listen(host, port)
    }
    guard descriptor >= 0 else { throw SettingsError("\(address): cannot be listened on: \(TextFile.lastError())") }
  }

  private static func listen(_ host: IPAddress, _ port: UInt16) -> Int32 {
    let family = host.isIPv4 ? AF_INET : AF_INET6
    let mapped: [UInt8] = host.isIPv4 ? [UInt8](repeating: 0, count: 10) + [0xff, 0xff] : []
    let descriptor = sluice_tcp_socket(family)
    guard descriptor >= 0 else { return -1 }
    // SAFETY: the C side reads 16 octets, which there are.
    guard sluice_set_reuse_address(descriptor) == 0,
      unsafe sluice_bind(descriptor, family, mapped + host.networkBytes, port) == 0,
      Glibc.listen(descriptor, 16) == 0
    else {
      let code = errno
      close(descriptor)
      errno = code
      return -1
    }
    return descriptor
  }

  deinit {
    for reader in readers { close(reader.descriptor) }
    close(descriptor)
    if let path { unsafe unlink(path) }
  }

  /// What to wait for: the listener, and readers that something waits for or that may go away.
  var polled: [pollfd] {
    [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
      + readers.map {
        pollfd(fd: $0.descriptor, events: Int16($0.start == $0.waiting.count ? POLLIN : POLLIN | POLLOUT), revents: 0)
      }
  }

  /// Takes new readers in, lets go of those that went, and sends what waits.
  func proceed() {
    while case let taken = sluice_accept(descriptor), taken >= 0 {
      guard readers.count < Self.readerCountMax else {
        close(taken)
        continue
      }
      readers.append(Reader(descriptor: taken, waiting: header))
    }
    readers.removeAll { reader in
      guard isGone(reader.descriptor) else { return false }
      close(reader.descriptor)
      return true
    }
    send(RawSpan())
  }

  func send(_ blocks: RawSpan) {
    for index in readers.indices.reversed() where !push(blocks, to: &readers[index]) {
      slowReaderCount &+= 1
      close(readers[index].descriptor)
      readers.remove(at: index)
    }
  }

  private func push(_ blocks: RawSpan, to reader: inout Reader) -> Bool {
    guard reader.waiting.count - reader.start + blocks.byteCount <= Self.waitingBytesMax else { return false }
    if reader.start > reader.waiting.count / 2 {
      let sent = reader.start
      reader.waiting.removeFirst(sent)
      reader.start = 0
    }
    reader.waiting.append(blocks)
    while reader.start < reader.waiting.count {
      let sent = Self.send(reader.waiting.rawSpan.extracting(reader.start..<reader.waiting.count), to: reader.descriptor)
      if sent < 0 { return errno == EAGAIN || errno == EINTR }
      reader.start += sent
    }
    return true
  }

  private static func send(_ bytes: RawSpan, to descriptor: Int32) -> Int {
    // SAFETY: the pointer is used within the call, with the span's own count.
    unsafe bytes.withUnsafeBytes { unsafe sluice_send(descriptor, $0.baseAddress, $0.count) }
  }

  private func isGone(_ descriptor: Int32) -> Bool {
    var byte: UInt8 = 0
    // SAFETY: reads one octet into a local.
    let count = unsafe sluice_recv(descriptor, &byte, 1)
    return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)
  }
}
