import Glibc

/// Threads that run one function beside the caller, with its priority; must be waited for.
struct HelperThreads: ~Copyable {
  private var threads: [pthread_t] = []

  /// No thread was to be had: nobody runs the function.
  var isEmpty: Bool { threads.isEmpty }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts as many threads, or fewer where the system gives no more.
  init(count: Int, _ body: @escaping @Sendable () -> Void) {
    let body = Body(body)
    for _ in 0..<max(count, 0) {
      var thread = pthread_t()
      let box = unsafe Unmanaged.passRetained(body)
      // SAFETY: the thread takes over the reference that was retained for it.
      let status = unsafe pthread_create(&thread, nil, { raw in
        if let raw = unsafe raw { unsafe Unmanaged<Body>.fromOpaque(raw).takeRetainedValue().run() }
        return nil
      }, box.toOpaque())
      if status == 0 { threads.append(thread) } else { unsafe box.release() }
    }
  }

  consuming func wait() {
    for thread in threads { _ = pthread_join(thread, nil) }
  }
}
