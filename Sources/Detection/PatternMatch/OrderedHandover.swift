import Glibc

/// Numbered values on their way from threads that make them, each of the next input, to one that takes
/// them in order and is never far behind; each goes back to its thread to be taken apart there.
///
/// - Limits: no value is begun before the one `window` numbers ahead of it has been dealt with.
@safe final class OrderedHandover<Input, Value>: @unchecked Sendable {
  // SAFETY: everything below is touched only while `mutex` is held. Both pointers are allocated and initialised in
  // `init` and live as long as the object, which each thread that uses it holds.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private let next: () -> Input?
  private let window: Int
  private var isExhausted = false
  private var begun = 0
  private var finished = 0
  private var values: [Int: Value] = [:]
  /// Values that have been dealt with, by the number of the thread that made them.
  private var spent: [Int: [Value]] = [:]
  private var makerCount = 0

  /// - Parameter next: yields the inputs, called by one thread at a time.
  init(window: Int, next: @escaping @Sendable () -> Input?) {
    self.next = next
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

  /// For a thread that makes values: what the next is made of, once it may be begun, nil when there are no more; and
  /// those of its own that have come back.
  func begin(_ maker: Int) -> (work: (number: Int, input: Input)?, spent: [Value]) {
    lock()
    defer { unlock() }
    while !isExhausted, begun >= finished &+ window { wait() }
    var work: (number: Int, input: Input)?
    if !isExhausted {
      if let input = next() {
        work = (begun, input)
        begun &+= 1
      } else {
        isExhausted = true
        unsafe pthread_cond_broadcast(changed)
      }
    }
    // When there are no more, it waits for what is still out.
    while work == nil, finished < begun, spent[maker] == nil { wait() }
    return (work, spent.removeValue(forKey: maker) ?? [])
  }

  func hand(over value: Value, number: Int) {
    lock()
    defer { unlock() }
    values[number] = value
    unsafe pthread_cond_broadcast(changed)
  }

  /// Waits for the value with that number; nil when there is none. The ones before must have been dealt with.
  func take(_ number: Int) -> Value? {
    lock()
    defer { unlock() }
    while true {
      if let value = values.removeValue(forKey: number) { return value }
      if isExhausted, number >= begun { return nil }
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
