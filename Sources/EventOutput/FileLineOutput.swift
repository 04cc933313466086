import Glibc
import Traffic

/// Appends lines to a file.
///
/// A write that fails is counted and its lines are lost: events never hold up traffic.
public final class FileLineOutput: LineOutput {
  private let descriptor: Int32
  private let ownsDescriptor: Bool
  public private(set) var failureCount: UInt64 = 0
  /// `errno` of the last failure.
  public private(set) var lastError: Int32 = 0

  /// - Parameter descriptor: stays open when this goes away.
  public init(descriptor: Int32) {
    self.descriptor = descriptor
    ownsDescriptor = false
  }

  /// - Throws: `LineOutputError` when the file cannot be opened: show it to the operator.
  public init(path: String, appends: Bool = true) throws(LineOutputError) {
    let flags = O_WRONLY | O_CREAT | O_CLOEXEC | (appends ? O_APPEND : O_TRUNC)
    descriptor = unsafe open(path, flags, 0o640)
    ownsDescriptor = true
    if descriptor < 0 { throw LineOutputError(path: path, code: errno) }
  }

  deinit {
    if ownsDescriptor { close(descriptor) }
  }

  public func write(_ lines: RawSpan) {
    var start = 0
    while start < lines.byteCount {
      // SAFETY: the pointer is used within the closure only, with the length of its own buffer.
      let count = unsafe lines.extracting(start..<lines.byteCount).withUnsafeBytes { buffer in
        unsafe Glibc.write(descriptor, buffer.baseAddress, buffer.count)
      }
      if count > 0 {
        start += count
      } else if count < 0, errno == EINTR {
        continue
      } else {
        failureCount &+= 1
        lastError = errno
        return
      }
    }
  }
}

/// An event file that cannot be opened: the operator's to mend.
public struct LineOutputError: Error, Sendable {
  public let path: String
  /// `errno`.
  public let code: Int32
}

/// Keeps lines in memory, for tests and for readers in the same process.
public final class MemoryLineOutput: LineOutput {
  public private(set) var bytes: [UInt8] = []

  public init() {}

  public func write(_ lines: RawSpan) { bytes.append(lines) }
}
