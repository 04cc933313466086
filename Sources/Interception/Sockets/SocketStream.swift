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
final class SocketStream {
  private(set) var descriptor: Int32
  /// Bytes to be read before those of the socket: what the peek at the hello took.
  private var ahead: [UInt8] = []
  private var aheadOffset = 0
  /// The last recv got less than it asked for; nothing more until epoll reports again.
  private var isDrained = false
  /// Epoll reported the peer's FIN or an error: from then on read until the kernel says so itself.
  private(set) var sawHangUp = false
  /// recv returned 0.
  private(set) var sawEnd = false
  /// Of the last failed call, other than EAGAIN; 0 for none.
  private(set) var errorNumber: Int32 = 0
  private(set) var didShutDown = false

  init(descriptor: Int32) { self.descriptor = descriptor }
  deinit { close() }

  var isOpen: Bool { descriptor >= 0 }
  var isReset: Bool { errorNumber == ECONNRESET || errorNumber == EPIPE || errorNumber == ETIMEDOUT }

  func readAhead(_ bytes: [UInt8]) {
    ahead = bytes
    aheadOffset = 0
  }

  /// Epoll reported the socket.
  func wake(hangUp: Bool) {
    isDrained = false
    if hangUp { sawHangUp = true }
  }

  /// - Returns: octets read; 0 at the end, -1 where it would block, -2 on an error.
  func receive(_ memory: UnsafeMutableRawBufferPointer) -> Int {
    if aheadOffset < ahead.count { return unsafe receiveAhead(memory) }
    if sawEnd { return 0 }
    if isDrained { return -1 }
    while true {
      let got = unsafe sluice_recv(descriptor, memory.baseAddress, memory.count)
      if got > 0 {
        isDrained = got < memory.count && !sawHangUp
        return got
      }
      if got == 0 {
        sawEnd = true
        return 0
      }
      switch errno {
      case EINTR: continue
      case EAGAIN: return -1
      default:
        errorNumber = errno
        return -2
      }
    }
  }

  /// - Returns: octets taken by the kernel, -1 where it would block, -2 on an error.
  func send(_ memory: UnsafeRawBufferPointer) -> Int {
    while true {
      let sent = unsafe sluice_send(descriptor, memory.baseAddress, memory.count)
      if sent >= 0 { return sent }
      switch errno {
      case EINTR: continue
      case EAGAIN, ENOBUFS: return -1
      default:
        errorNumber = errno
        return -2
      }
    }
  }

  /// Sends FIN.
  func shutDown() {
    guard isOpen, !didShutDown else { return }
    didShutDown = true
    shutdown(descriptor, Int32(SHUT_WR))
  }

  /// - Parameter reset: the peer gets RST.
  func close(reset: Bool = false) {
    guard isOpen else { return }
    if reset { sluice_set_reset_on_close(descriptor) }
    Glibc.close(descriptor)
    descriptor = -1
    ahead = []
  }

  private func receiveAhead(_ memory: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(memory.count, ahead.count - aheadOffset)
    unsafe memory.copyBytes(from: ahead[aheadOffset..<aheadOffset + count])
    aheadOffset += count
    if aheadOffset == ahead.count { readAhead([]) }
    return count
  }
}
