import CSluiceLinux
import Glibc
import Traffic

/// Tells the kernel which hardware address stands behind an IP address of a bridged network.
///
/// - Limits: what was told is remembered for `countMax` addresses, so that each is told once in a while.
final class NeighbourTable {
  private static let countMax = 8_192
  /// The kernel may forget what it was told when its table is full.
  private static let repeatNanoseconds: Int64 = 30_000_000_000

  private let descriptor = sluice_open_route_socket()
  private var known: [IPAddress: (hardware: UInt64, time: Int64)] = [:]
  private(set) var failureCount: UInt64 = 0

  deinit { if descriptor >= 0 { close(descriptor) } }

  func set(_ address: IPAddress, _ hardware: UInt64, interface: UInt32) {
    let now = sluice_clock_monotonic()
    if let old = known[address], old.hardware == hardware, now &- old.time < Self.repeatNanoseconds { return }
    if known.count >= Self.countMax { known.removeAll(keepingCapacity: true) }
    let octets = (0..<6).map { UInt8(truncatingIfNeeded: hardware >> UInt64(40 - 8 * $0)) }
    let name = (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? address.high : address.low) >> UInt64(56 - 8 * ($0 % 8))) }
    let family = address.isIPv4 ? AF_INET : AF_INET6
    // SAFETY: the C side reads 16 and 6 octets.
    guard unsafe sluice_set_neighbour(descriptor, Int32(bitPattern: interface), family, name, octets) == 0 else {
      failureCount &+= 1
      return
    }
    known[address] = (hardware, now)
  }
}
