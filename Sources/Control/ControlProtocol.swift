import CSluiceLinux
import Glibc

/// What is asked of a running daemon: one line with a command and its words; the answer is `ok` or `error` on the
/// first line and text on the lines behind it.
public enum ControlCommand: String, Sendable, CaseIterable {
  case reload, stats, flows, explain, release, recall, metrics, learned, approve, forget, rules, shutdown

  /// The line of a request that says what is asked, whatever the octets are.
  public static func line(of request: [UInt8]) -> String {
    String(decoding: request.prefix { $0 != 0x0a && $0 != 0x0d }, as: UTF8.self)
  }
}

public struct ControlAnswer: Sendable {
  public var isDone: Bool
  public var text: String

  public init(isDone: Bool, text: String) {
    self.isDone = isDone
    self.text = text
  }

  /// As sent.
  public var lines: String { (isDone ? "ok\n" : "error\n") + text + (text.hasSuffix("\n") || text.isEmpty ? "" : "\n") }

  /// - Returns: nil for what no daemon of ours sends.
  public init?(lines: String) {
    if lines.hasPrefix("ok\n") {
      self.init(isDone: true, text: String(lines.dropFirst(3)))
    } else if lines.hasPrefix("error\n") {
      self.init(isDone: false, text: String(lines.dropFirst(6)))
    } else {
      return nil
    }
  }
}

/// Why a daemon cannot be spoken to.
public struct ControlError: Error, Sendable {
  public var message: String
}

/// The asking side.
public enum ControlClient {
  /// Largest answer that is read.
  private static let answerBytesMax = 16 << 20

  /// - Parameter words: without white space each.
  public static func ask(
    _ command: ControlCommand, _ words: [String] = [], socket path: String
  ) throws(ControlError) -> ControlAnswer {
    let descriptor = unsafe sluice_unix_connect(path)
    guard descriptor >= 0 else {
      let reason = errno == EACCES || errno == EPERM ? "needs root" : "is the daemon running?"
      throw ControlError(message: "\(path): \(errorText(errno)) (\(reason))")
    }
    defer { close(descriptor) }
    guard StreamSocket.write(Array((([command.rawValue] + words).joined(separator: " ") + "\n").utf8), to: descriptor) else {
      throw ControlError(message: "\(path): \(errorText(errno))")
    }
    let bytes = StreamSocket.readAll(from: descriptor, most: answerBytesMax)
    guard let answer = ControlAnswer(lines: String(decoding: bytes, as: UTF8.self)) else {
      throw ControlError(message: "\(path): the daemon closed without an answer")
    }
    return answer
  }
}

func errorText(_ code: Int32) -> String {
  guard let text = unsafe strerror(code) else { return "error \(code)" }
  return unsafe String(cString: text)
}

/// Blocking reads and writes of a stream socket.
enum StreamSocket {
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var done = 0
    while done < bytes.count {
      // SAFETY: send(2) reads at most `count - done` octets behind `done`.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe send(
          descriptor, buffer.baseAddress.map { unsafe $0 + done }, bytes.count - done,
          Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }

  static func readAll(from descriptor: Int32, most: Int) -> [UInt8] {
    var result: [UInt8] = []
    while result.count < most, let piece = read(from: descriptor), !piece.isEmpty { result += piece }
    return result
  }

  /// What is there, empty at the end, nil on an error or when the time is over.
  static func read(from descriptor: Int32) -> [UInt8]? {
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
      // SAFETY: read(2) writes at most the array's octets.
      let count = unsafe piece.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return nil }
      piece.removeLast(piece.count - count)
      return piece
    }
  }
}
