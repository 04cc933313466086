import CSluiceLinux
import Glibc

/// A thread of its own for a worker, kept on one processor.
public final class WorkerThread: @unchecked Sendable {
  // SAFETY (`@unchecked`): written once by `start` before anyone else sees the object.
  private var handle = pthread_t()

  private init() {}

  /// - Parameters:
  ///   - processor: nil to let the kernel choose.
  ///   - body: runs on the new thread; what it makes never leaves it.
  /// - Throws: where the kernel grants no thread.
  public static func start(
    processor: Int32? = nil, _ body: @escaping @Sendable () -> Void
  ) throws(InterceptionError) -> WorkerThread {
    let box = Body {
      if let processor { _ = sluice_pin_thread(processor) }
      body()
    }
    let thread = WorkerThread()
    let context = unsafe Unmanaged.passRetained(box).toOpaque()
    // SAFETY: the retained body is released by the thread that runs it, or below when there is none.
    let result = unsafe pthread_create(&thread.handle, nil, { raw in
      if let raw = unsafe raw { unsafe Unmanaged<Body>.fromOpaque(raw).takeRetainedValue().run() }
      return nil
    }, context)
    if result != 0 {
      unsafe Unmanaged<Body>.fromOpaque(context).release()
      throw .system(call: "pthread_create", reason: errorText(result))
    }
    return thread
  }

  /// Waits for its end. Call once.
  public func join() { pthread_join(handle, nil) }

  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
}
