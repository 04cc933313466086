import Glibc

/// Numbered values on their way from threads that make them, each the next one that nobody makes, to one that takes
/// them in order and is never far behind; each goes back to its thread to be taken apart there.
///
/// - Limits: no value is begun before the one `window` numbers ahead of it has been dealt with.
@safe final class OrderedHandover<Value>: @unchecked Sendable {
  // SAFETY: everything below is touched only while `mutex` is held. Both pointers are allocated and initialised in
  // `init` and live as long as the object, which each thread that uses it holds.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private let count: Int
  private let window: Int
  private var begun = 0
  private var finished = 0
  private var values: [Int: Value] = [:]
  /// Values that have been dealt with, by the number of the thread that made them.
  private var spent: [Int: [Value]] = [:]
  private var makerCount = 0

  init(count: Int, window: Int) {
    self.count = count
    self.window = max(window, 1)
    unsafe mutex = .allocate(capacity: 1)
    unsafe changed = .allocate(capacity: 1)
    // SAFETY: both have just been allocated; default attributes cannot fail on Linux.
    unsafe pthread_mutex_init(mutex, nil)
    unsafe pthread_cond_init(changed, nil)
  }

  deinit {
    unsafe pthread_cond_destroy(changed)
    unsafe pthread_mutex_destroy(mutex)
    unsafe changed.deallocate()
    unsafe mutex.deallocate()
  }

  /// A number for a thread that makes values.
  func join() -> Int {
    lock()
    defer { unlock() }
    makerCount &+= 1
    return makerCount &- 1
  }

  /// For a thread that makes values: the number of the next, once it may be begun, nil when there are no more; and those
  /// of its own that have come back.
  func begin(_ maker: Int) -> (number: Int?, spent: [Value]) {
    lock()
    defer { unlock() }
    while begun < count, begun >= finished &+ window { wait() }
    // When there are no more, it waits for what is still out.
    while begun >= count, finished < count, spent[maker] == nil { wait() }
    let own = spent.removeValue(forKey: maker) ?? []
    guard begun < count else { return (nil, own) }
    begun &+= 1
    return (begun &- 1, own)
  }

  func hand(over value: Value, number: Int) {
    lock()
    defer { unlock() }
    values[number] = value
    unsafe pthread_cond_broadcast(changed)
  }

  /// Waits for the value with that number. The ones before must have been dealt with.
  func take(_ number: Int) -> Value {
    lock()
    defer { unlock() }
    while true {
      if let value = values.removeValue(forKey: number) { return value }
      wait()
    }
  }

  /// The one who takes has dealt with the value that it took last, which goes back.
  func give(back value: consuming Value, to maker: Int) {
    lock()
    defer { unlock() }
    finished &+= 1
    spent[maker, default: []].append(value)
    unsafe pthread_cond_broadcast(changed)
  }

  private func lock() { unsafe pthread_mutex_lock(mutex) }
  private func unlock() { unsafe pthread_mutex_unlock(mutex) }
  private func wait() { unsafe pthread_cond_wait(changed, mutex) }
}
