import CSluiceLinux
import Glibc
import Traffic

/// Sends decrypted packets out of an interface (a dummy or a veth, or a port with a sensor behind it).
final class DecryptedInterface {
  private let descriptor: Int32
  /// Frames the interface did not take.
  private(set) var failureCount: UInt64 = 0

  /// - Throws: where there is no such interface.
  init(_ name: String) throws(SettingsError) {
    descriptor = unsafe sluice_packet_sender(name)
    guard descriptor >= 0 else {
      throw SettingsError("interception.decrypted.interface: \(name): \(TextFile.lastError())")
    }
  }

  deinit { close(descriptor) }

  func send(_ frame: RawSpan) {
    // SAFETY: the pointer is used within the call, with the span's own count.
    let sent = unsafe frame.withUnsafeBytes { bytes in
      unsafe sluice_send(descriptor, bytes.baseAddress, bytes.count)
    }
    if sent < 0 { failureCount &+= 1 }
  }
}
