import Glibc

/// Appends the secrets of TLS connections to a file of mode 0600, so that captures of them can be read.
///
/// - Source: the SSLKEYLOGFILE format (RFC 9850); each line is one write, so that workers do not mix theirs.
/// Whoever reads the file reads every connection: for finding faults only.
public final class KeyLog: Sendable {
  private let descriptor: Int32

  /// - Throws: where the file cannot be written.
  public init(path: String) throws(InterceptionError) {
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw .system(call: path, reason: errorText(errno)) }
    // Also where it was there before with another mode.
    guard fchmod(descriptor, 0o600) == 0 else {
      let reason = errorText(errno)
      close(descriptor)
      throw .system(call: path, reason: reason)
    }
  }

  deinit { close(descriptor) }

  /// - Parameter line: without its end.
  func write(_ line: [UInt8]) {
    let bytes = line + [0x0a]
    // SAFETY: the pointer is used within the call, with the array's own count.
    _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
  }
}
