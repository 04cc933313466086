import Glibc

// `stdout` and `stderr` of C are not safe to share between threads in Swift; write(2) is.

enum StandardOutput {
  static func write(_ text: String) { writeAll(1, Array(text.utf8)) }
  static func write(_ bytes: [UInt8]) { writeAll(1, bytes) }
}

enum StandardError {
  static func write(_ text: String) { writeAll(2, Array(text.utf8)) }
  static var isTerminal: Bool { isatty(2) == 1 }
}

private func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) {
  // SAFETY: write(2) reads at most `count - done` octets behind `done`, all inside the array.
  unsafe bytes.withUnsafeBytes { buffer in
    var done = 0
    while done < buffer.count, let start = buffer.baseAddress {
      let count = unsafe Glibc.write(descriptor, start + done, buffer.count - done)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      done += count
    }
  }
}

/// A bar on the terminal, drawn over itself; nothing elsewhere.
struct ProgressBar {
  private var lastPercent = -1

  mutating func show(_ done: UInt64, of total: UInt64?) {
    guard StandardError.isTerminal, let total, total > 0 else { return }
    let percent = Int(min(100, done * 100 / total))
    guard percent != lastPercent else { return }
    lastPercent = percent
    let filled = percent * 40 / 100
    let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: 40 - filled)
    StandardError.write("\r\(bar) \(percent) %")
  }

  func clear() {
    if lastPercent >= 0 { StandardError.write("\r\u{1b}[K") }
  }
}
