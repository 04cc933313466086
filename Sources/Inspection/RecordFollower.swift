import Traffic

/// Finds where the messages of SMB begin in one direction of a stream.
///
/// Rules of old count positions from the start of a message; where a message takes several segments, only this
/// tells them where it began.
/// - Source: RFC 1002 section 4.3.1, [MS-SMB2] section 2.1: a type, or zero, and a length of 24 bits before each message;
///   Suricata 8 inspects the stream anew with each message of SMB.
/// - Limits: ``startsMax`` messages that lie in the window at once; behind a hole nothing is followed.
struct RecordFollower {
  /// In the stream, ascending.
  private(set) var starts: [UInt64] = []
  private var next: UInt64 = 0
  private var state = State.unknown

  private enum State {
    case unknown, following, off
  }

  static let startsMax = 64
  private static let headerBytes = 4

  /// Looks at what has been added to a window.
  mutating func follow(_ bytes: [UInt8], offset: UInt64, afterGap: Bool) {
    guard state != .off else { return }
    if afterGap { return stop() }
    if state == .unknown {
      guard offset == 0, bytes.count >= Self.headerBytes + 4 else {
        if offset > 0 { stop() }
        return
      }
      guard Self.isMessage(bytes) else { return stop() }
      state = .following
    }
    while next >= offset, starts.count < Self.startsMax {
      let index = next &- offset
      guard index &+ UInt64(Self.headerBytes) <= UInt64(bytes.count) else { return }
      let at = Int(index)
      let length = UInt64(bytes[at + 1]) << 16 | UInt64(bytes[at + 2]) << 8 | UInt64(bytes[at + 3])
      starts.append(next)
      next &+= UInt64(Self.headerBytes) &+ length
    }
    if next < offset { stop() }
  }

  /// What begins before the window is of no use any more, but for the message that reaches into it.
  mutating func forget(before offset: UInt64) {
    guard let first = starts.first, first < offset else { return }
    starts.removeAll { $0 < offset }
  }

  private mutating func stop() {
    state = .off
    starts = []
  }

  /// A session request of NetBIOS, or a message of SMB version 1, 2 or 3.
  private static func isMessage(_ bytes: [UInt8]) -> Bool {
    if bytes[0] == 0x81 { return bytes[1] == 0 }
    guard bytes[0] == 0 else { return false }
    let mark = bytes[4]
    return (mark == 0xff || mark == 0xfe || mark == 0xfd) && bytes[5...7].elementsEqual("SMB".utf8)
  }
}
