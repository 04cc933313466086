import Glibc

/// Reads addresses in whatever form they are written.
enum LabAddress {
  /// - Returns: 4 or 16 octets; nil when it is no address.
  static func octets(_ text: String) -> [UInt8]? {
    var octets = [UInt8](repeating: 0, count: 16)
    // SAFETY: inet_pton writes 4 or 16 octets, and there are 16.
    if unsafe inet_pton(AF_INET, text, &octets) == 1 { return Array(octets[..<4]) }
    if unsafe inet_pton(AF_INET6, text, &octets) == 1 { return octets }
    return nil
  }
}
