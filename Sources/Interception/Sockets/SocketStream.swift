import CSluiceLinux
import Glibc
import Traffic

/// What a read from, or a write to, one leg came to.
enum TransferOutcome: Equatable {
  /// So many octets, at least one.
  case moved(Int)
  case wouldBlock
  /// The peer's direction ended: by close_notify, or by FIN alone.
  case ended(closeNotify: Bool)
  case reset
  case failed(TLSFailure)
}

/// A connected, non-blocking TCP socket with bytes that were read ahead of it.
///
/// Closed at the latest with the last reference.
/// SAFETY: pointers are handed to recv and send together with the length of their memory.
@safe
final class SocketStream: ByteStream {
  private(set) var descriptor: Int32
  /// The last recv got less than it asked for; nothing more until epoll reports again.
  private var isDrained = false
  /// Epoll reported the peer's FIN or an error: from then on read until the kernel says so itself.
  private(set) var sawHangUp = false
  /// recv returned 0.
  private var hasEnded = false
  private var code: Int32 = 0
  private(set) var didShutDown = false
  /// Where small pieces wait for the end of the round; nil: nowhere.
  private var queue: SendQueue?
  /// Taken, and not yet taken by the kernel.
  private var backlog: [UInt8] = []

  init(descriptor: Int32) { self.descriptor = descriptor }
  deinit { close() }

  var isOpen: Bool { descriptor >= 0 }
  override var sawEnd: Bool { hasEnded }
  override var errorNumber: Int32 { code }
  override var isReset: Bool { code == ECONNRESET || code == EPIPE || code == ETIMEDOUT }

  /// A read would find nothing, without asking the kernel.
  var isKnownEmpty: Bool { isDrained && !hasEnded && !hasReadAhead }

  /// Epoll reported the socket.
  ///
  /// - Parameter isError: a reset, which nobody reads any more where a FIN has come before it.
  func wake(hangUp: Bool, isError: Bool = false) {
    isDrained = false
    if hangUp { sawHangUp = true }
    if isError, hasEnded, code == 0 { code = EPIPE }
    if !backlog.isEmpty { _ = settle() }
  }

  override func receiveBelow(_ memory: UnsafeMutableRawBufferPointer) -> Int {
    if hasEnded { return 0 }
    if isDrained { return -1 }
    while true {
      let got = unsafe sluice_recv(descriptor, memory.baseAddress, memory.count)
      if got > 0 {
        isDrained = got < memory.count && !sawHangUp
        return got
      }
      if got == 0 {
        // A send has heard of the reset first; the kernel tells it once.
        if isReset { return -2 }
        hasEnded = true
        return 0
      }
      switch errno {
      case EINTR: continue
      case EAGAIN: return -1
      default:
        code = errno
        return -2
      }
    }
  }

  override func send(_ memory: UnsafeRawBufferPointer) -> Int {
    if isReset { return -2 }
    guard let queue else { return unsafe sendNow(memory) }
    if !backlog.isEmpty, !settle() { return isReset ? -2 : -1 }
    if unsafe queue.take(memory, for: self) { return memory.count }
    return settle() ? unsafe sendNow(memory) : isReset ? -2 : -1
  }

  private func sendNow(_ memory: UnsafeRawBufferPointer) -> Int {
    while true {
      let sent = unsafe sluice_send(descriptor, memory.baseAddress, memory.count)
      if sent >= 0 { return sent }
      switch errno {
      case EINTR: continue
      case EAGAIN, ENOBUFS: return -1
      default:
        code = errno
        return -2
      }
    }
  }

  // MARK: Waiting for the end of the round

  /// Has small pieces wait for the end of the round from now on.
  func waits(in queue: SendQueue) { self.queue = queue }

  /// What waits goes now, and nothing waits any more.
  ///
  /// - Returns: false where the kernel does not take all of it yet.
  func sendsAtOnce() -> Bool {
    guard settle() else { return false }
    queue = nil
    return true
  }

  /// The kernel has taken all but what waits for the end of the round.
  var isSettled: Bool { backlog.isEmpty }

  /// Sends what waits.
  ///
  /// - Returns: whether nothing is left; where the connection is broken something is.
  func settle() -> Bool {
    queue?.flush()
    guard !backlog.isEmpty else { return true }
    let sent = unsafe backlog.withUnsafeBytes { unsafe sendNow($0) }
    if sent == backlog.count { backlog = [] } else if sent > 0 { backlog.removeFirst(sent) }
    return backlog.isEmpty
  }

  /// Called by the queue with what it took.
  func sendQueued(_ memory: UnsafeRawBufferPointer) {
    guard isOpen, errorNumber == 0 else { return }
    let sent = backlog.isEmpty ? max(0, unsafe sendNow(memory)) : 0
    if sent < memory.count { unsafe backlog.append(contentsOf: memory[sent...]) }
  }

  /// Sends FIN.
  func shutDown() {
    guard isOpen, !didShutDown else { return }
    _ = settle()
    didShutDown = true
    shutdown(descriptor, Int32(SHUT_WR))
  }

  /// - Parameter reset: the peer gets RST.
  func close(reset: Bool = false) {
    guard isOpen else { return }
    _ = settle()
    queue = nil
    backlog = []
    if reset { sluice_set_reset_on_close(descriptor) }
    Glibc.close(descriptor)
    descriptor = -1
    readAhead([])
  }
}
