import Traffic

/// Joins handshake messages of one direction, however records and chunks cut them.
///
/// Only the messages that are read are kept; the others are counted past.
/// - Source: RFC 8446 section 4 (a type octet, a length of three, the body), section 5.1 (messages
///   may span records).
struct HandshakeAssembler {
  /// The message that is under way: nil between messages.
  private var type: UInt8?
  private var headerCount = 0
  private var header: UInt32 = 0
  /// Octets of the message still to come.
  private var remaining = 0
  private var isKept = false
  private var buffer: [UInt8] = []

  var isBetweenMessages: Bool { headerCount == 0 }

  /// What to do about a message whose header has been read.
  enum Plan { case keep, skip }

  /// - Parameters:
  ///   - plan: asked once for each message, with its type and length.
  ///   - deliver: takes each message, whole when it was kept and empty when it was skipped.
  mutating func append(
    _ bytes: RawSpan, plan: (UInt8, Int) -> Plan, deliver: (UInt8, RawSpan) -> Void
  ) {
    var reader = ByteReader(bytes)
    while true {
      if headerCount < 4 {
        guard let octet = reader.u8() else { return }
        header = header << 8 | UInt32(octet)
        headerCount += 1
        if headerCount < 4 { continue }
        begin(plan)
      }
      guard let type else { return }
      let count = min(remaining, reader.remaining)
      guard let piece = reader.take(count) else { return }
      remaining -= count
      let isWhole = remaining == 0
      if !isKept {
        if isWhole { deliver(type, piece.extracting(0..<0)) }
      } else if isWhole, buffer.isEmpty {
        deliver(type, piece)
      } else {
        buffer.append(piece)
        if isWhole { deliver(type, buffer.rawSpan) }
      }
      guard isWhole else { return }
      reset()
    }
  }

  /// Forgets a message that will not be finished.
  mutating func reset() {
    type = nil
    headerCount = 0
    header = 0
    remaining = 0
    buffer = []
  }

  private mutating func begin(_ plan: (UInt8, Int) -> Plan) {
    let type = UInt8(header >> 24)
    remaining = Int(header & 0xff_ffff)
    isKept = plan(type, remaining) == .keep
    self.type = type
  }
}
