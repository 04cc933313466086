import CSluiceLinux
import Glibc

/// What epoll reported of one descriptor.
struct ReadyEvent {
  var token: UInt64
  /// FIN, RST or an error arrived.
  var isHangUp: Bool
  /// RST or an error arrived; both directions are dead.
  var isError: Bool
  var isWritable: Bool
}

/// An epoll instance with room for one batch of events.
///
/// SAFETY: the array handed to epoll_wait is as long as the count says.
@safe
final class EventQueue {
  private let descriptor: Int32
  private var events: [epoll_event]

  init(batchCount: Int) throws(InterceptionError) {
    descriptor = sluice_epoll_create()
    unsafe events = Array(repeating: epoll_event(), count: max(1, batchCount))
    guard descriptor >= 0 else { throw .system(call: "epoll_create1", reason: errorText(errno)) }
  }
  deinit { if descriptor >= 0 { close(descriptor) } }

  /// - Returns: false with errno where the kernel refuses.
  func addEdge(_ other: Int32, token: UInt64) -> Bool { sluice_epoll_add_edge(descriptor, other, token) == 0 }
  func addLevel(_ other: Int32, token: UInt64) -> Bool { sluice_epoll_add_level(descriptor, other, token) == 0 }
  func remove(_ other: Int32) { sluice_epoll_remove(descriptor, other) }

  /// - Parameter milliseconds: -1 waits for ever.
  /// - Returns: how many events may now be read by `event(at:)`.
  func wait(milliseconds: Int32) -> Int {
    let count = unsafe epoll_wait(descriptor, &events, Int32(events.count), milliseconds)
    return max(0, Int(count))
  }

  func event(at index: Int) -> ReadyEvent {
    let event = unsafe events[index]
    let flags = unsafe event.events
    return ReadyEvent(
      token: unsafe event.data.u64,
      isHangUp: flags & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0,
      isError: flags & EPOLLERR.rawValue != 0, isWritable: flags & EPOLLOUT.rawValue != 0)
  }
}
