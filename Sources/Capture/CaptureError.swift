import Glibc

/// Why packets can't be taken from a source, in words for the person who started it.
///
/// Callers show `description` and stop using the source, except where a method says otherwise.
public struct CaptureError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Whose doing it is, and so who can mend it.
  public enum Fault: String, Sendable, Hashable {
    /// A path, permission or setting.
    case configuration
    /// The file does not hold what its format asks for.
    case captureFile = "capture file"
    /// The kernel refused or lacks something.
    case kernel
  }

  /// The file's path, "standard input" or "queue 3".
  public let source: String
  public let fault: Fault
  /// What is wrong, without the source.
  public let what: String
  /// Where, in octets from the start of the (decompressed) file.
  public let offset: UInt64?
  /// `errno` where a system call failed, else 0.
  public let systemError: Int32

  init(
    _ source: String, _ fault: Fault, _ what: String, offset: UInt64? = nil,
    systemError: Int32 = 0
  ) {
    self.source = source
    self.fault = fault
    self.what = what
    self.offset = offset
    self.systemError = systemError
  }

  public var description: String {
    let place = offset.map { "\(source), offset \($0)" } ?? source
    let reason = systemError == 0 ? "" : ": \(systemErrorText(systemError))"
    return "\(place): \(what)\(reason)"
  }
}

/// Something in a capture that was worked around: the packets up to it are whole.
public struct CaptureWarning: Sendable, Hashable, CustomStringConvertible {
  public let source: String
  public let offset: UInt64
  public let what: String

  public var description: String { "\(source), offset \(offset): \(what)" }
}

func systemErrorText(_ number: Int32) -> String {
  // SAFETY: glibc returns a terminated string that lives at least until this thread's next call.
  unsafe String(cString: strerror(number))
}
