import CSluiceLinux
import Glibc

/// A network of one's own: a thread with its own namespace, loopback up. It is gone, with its
/// rules and queues, when the thread ends and its sockets are closed.
enum NetworkNamespace {
  /// Whether this process may make namespaces and there are the tools to fill them.
  static let isAvailable: Bool =
    geteuid() == 0 && run("which ip iptables >/dev/null 2>&1") == 0
    && perform("true") {} == 0

  private final class Job {
    let setup: String
    let body: () -> Void
    var status: Int32 = -1
    init(_ setup: String, _ body: @escaping () -> Void) {
      self.setup = setup
      self.body = body
    }
  }

  /// Runs `setup` in the shell and then `body`, both inside a new namespace, and waits for them.
  /// - Returns: 0, or what kept `body` from running.
  @discardableResult
  static func perform(_ setup: String, _ body: @escaping () -> Void) -> Int32 {
    let job = Job(setup, body)
    let context = unsafe Unmanaged.passRetained(job).toOpaque()
    var thread = pthread_t()
    let status = unsafe pthread_create(
      &thread, nil,
      { context in
        // SAFETY: balances passRetained below; the thread is the only one to take it.
        guard let context = unsafe context else { return nil }
        let job = unsafe Unmanaged<Job>.fromOpaque(context).takeRetainedValue()
        guard sluice_enter_new_network_namespace() == 0 else { return nil }
        job.status = run("ip link set lo up && \(job.setup)")
        if job.status == 0 { job.body() }
        return nil
      }, context)
    guard status == 0 else { return status }
    pthread_join(thread, nil)
    return job.status
  }
}

/// A UDP socket on 127.0.0.1.
final class LoopbackSocket {
  let descriptor: Int32
  private(set) var port: UInt16 = 0

  init() {
    descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    var address = Self.address(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        unsafe bind(descriptor, generic, length)
        unsafe getsockname(descriptor, generic, &length)
      }
    }
    port = UInt16(bigEndian: address.sin_port)
  }

  deinit { close(descriptor) }

  func send(_ text: String, to port: UInt16) {
    var address = Self.address(port: port)
    let bytes = Array(text.utf8)
    unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        _ = unsafe sendto(
          descriptor, bytes, bytes.count, 0, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  /// What has arrived by now, in order.
  func receiveAll() -> [String] {
    var texts: [String] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count < 0 { return texts }
      texts.append(String(decoding: buffer[..<count], as: UTF8.self))
    }
  }

  private static func address(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }
}
