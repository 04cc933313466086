import Synchronization

/// Work in numbered parts that threads share, each part done by the first that is free.
final class SharedWork: Sendable {
  private let count: Int
  private let next = Atomic<Int>(0)

  private init(count: Int) { self.count = count }

  /// The next part, which nobody else gets; nil when there is none left.
  func take() -> Int? {
    let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
    return number < count ? number : nil
  }

  /// Runs the function on as many threads, of which the caller's is one; it takes parts until there are none left.
  static func run(count: Int, threadCount: Int, _ body: @escaping @Sendable (SharedWork) -> Void) {
    let work = SharedWork(count: count)
    let threads = HelperThreads(count: min(threadCount, count) &- 1) { body(work) }
    body(work)
    threads.wait()
  }
}
