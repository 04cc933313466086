import CSluiceLinux
import Glibc
import Testing

@testable import Diversion

/// Sends one datagram from one port of the loopback address to another.
private func send(_ family: AddressFamily, from source: UInt16, to destination: UInt16) {
  let domain = family == .ipv4 ? AF_INET : AF_INET6
  // A program started by another test at this moment would keep the port if it inherited the socket.
  let descriptor = socket(domain, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  defer { close(descriptor) }
  func with(port: UInt16, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Void) {
    if family == .ipv4 {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      // One end is 127.0.0.2, so that the addresses differ too.
      address.sin_addr.s_addr = UInt32(port < 10_000 ? 0x7f00_0002 : 0x7f00_0001).bigEndian
      unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe call($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    } else {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_addr = in6addr_loopback
      unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe call($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
        }
      }
    }
  }
  unsafe with(port: source) { unsafe _ = bind(descriptor, $0, $1) }
  var octet: UInt8 = 0
  unsafe with(port: destination) { unsafe _ = sendto(descriptor, &octet, 1, 0, $0, $1) }
}

@Suite(.enabled(if: NetworkNamespace.isAvailable, "needs root, iptables, iproute2"))
struct FlowSpreadTests {
  private static let queueCount = 4
  private static let flowCount = 64

  /// Packets that each queue's rule has counted.
  private static func counts(_ family: AddressFamily) -> [Int] {
    Kernel.run(family.saveCommand, "-c", "-t", "mangle").split(separator: "\n")
      .filter { $0.contains("--bytecode") }
      .compactMap { line in line.dropFirst().split(separator: ":").first.flatMap { Int($0) } }
  }

  /// The queue of each packet sent: flow by flow, there and back.
  private static func queues(_ family: AddressFamily) throws -> [[Int]] {
    try NetworkNamespace.inside {
      for queue in 0..<queueCount {
        let code = FlowSpread(family: family, queueCount: queueCount).bytecode(queueIndex: queue)
        Kernel.run(
          family.ruleCommand, "-t", "mangle", "-A", "OUTPUT", "-p", "udp", "-m", "bpf", "--bytecode", code)
      }
      return (0..<flowCount).map { flow in
        let ports = (UInt16(40_000 + flow * 7), UInt16(53))
        return [(ports.0, ports.1), (ports.1, ports.0)].flatMap { source, destination in
          let before = counts(family)
          send(family, from: source, to: destination)
          return zip(before, counts(family)).enumerated().flatMap { index, pair in
            Array(repeating: index, count: pair.1 - pair.0)
          }
        }
      }
    }
  }

  @Test(arguments: AddressFamily.allCases)
  func `Both directions of a flow meet one queue, and flows spread over all`(family: AddressFamily) throws {
    let queues = try Self.queues(family)
    #expect(queues.count == Self.flowCount)
    #expect(queues.enumerated().filter { $0.1.count != 2 || $0.1.first != $0.1.last }.map { "\($0)" } == [])
    for queue in 0..<Self.queueCount {
      #expect(queues.count { $0.first == queue } >= Self.flowCount / Self.queueCount / 3)
    }
  }
}
