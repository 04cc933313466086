import EventOutput
import Glibc
import Traffic

/// A pcapng file of mode 0600 that is put aside at a size: `name`, `name.1`, … up to `name.COUNT-1`,
/// the oldest one goes.
final class DecryptedFile {
  private let path: String
  private let bytesMax: Int
  private let count: Int
  private let header: [UInt8]
  private var descriptor: Int32 = -1
  private var written = 0
  /// Stretches that could not be written.
  private(set) var failureCount: UInt64 = 0

  /// - Throws: where the file cannot be made.
  init(_ path: String, bytesMax: Int, count: Int, header: [UInt8]) throws(SettingsError) {
    self.path = path
    self.bytesMax = bytesMax
    self.count = count
    self.header = header
    // What an earlier run wrote stays, under the next name.
    if unsafe access(path, F_OK) == 0 { moveOn() }
    guard open() else { throw SettingsError("\(path): cannot be written: \(TextFile.lastError())") }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  func write(_ blocks: RawSpan) {
    if written > header.count, written &+ blocks.byteCount > bytesMax {
      close(descriptor)
      moveOn()
      guard open() else { return failureCount &+= 1 }
    }
    guard descriptor >= 0, put(blocks) else { return failureCount &+= 1 }
    written &+= blocks.byteCount
  }

  private func open() -> Bool {
    descriptor = unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0, fchmod(descriptor, 0o600) == 0 else { return false }
    written = header.count
    let header = header
    return put(header.rawSpan)
  }

  private func put(_ bytes: RawSpan) -> Bool {
    let output = FileLineOutput(descriptor: descriptor)
    output.write(bytes)
    return output.failureCount == 0
  }

  private func moveOn() {
    for index in stride(from: count - 1, to: 0, by: -1) {
      let from = index == 1 ? path : "\(path).\(index - 1)"
      unsafe rename(from, "\(path).\(index)")
    }
  }
}
