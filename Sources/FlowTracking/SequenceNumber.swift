/// Comparisons of TCP sequence numbers, modulo 2^32 (RFC 9293 section 3.4).
enum Sequence32 {
  static func isBefore(_ left: UInt32, _ right: UInt32) -> Bool {
    Int32(bitPattern: left &- right) < 0
  }

  static func isAtOrBefore(_ left: UInt32, _ right: UInt32) -> Bool {
    Int32(bitPattern: left &- right) <= 0
  }

  static func later(_ left: UInt32, _ right: UInt32) -> UInt32 {
    isBefore(left, right) ? right : left
  }
}
