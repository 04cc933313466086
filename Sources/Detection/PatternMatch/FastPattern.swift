/// The literal by which a rule is found in a buffer before its steps are tried.
struct FastPattern: Hashable, Sendable {
  var bytes: [UInt8]
  var isCaseInsensitive: Bool
  var constraint = HitConstraint()

  /// The octets go into one number first: the library's hash takes an array element by element, which was a
  /// twentieth of the time that a rule set takes to load. Who writes rules gains nothing by collisions.
  func hash(into hasher: inout Hasher) {
    var sum: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01b3 }
    hasher.combine(sum)
    hasher.combine(UInt64(constraint.endMin) << 32 | UInt64(constraint.endMax))
    hasher.combine(UInt64(constraint.sizeMax) << 1 | (isCaseInsensitive ? 1 : 0))
  }
}

/// Where in the buffer a hit must end to count; lets positions prune hits before rules are looked up.
struct HitConstraint: Hashable, Sendable, BitwiseCopyable {
  /// Octets from the start of the whole buffer to the end of the hit, at least and at most.
  var endMin: UInt32 = 0
  var endMax: UInt32 = .max
  /// Octets that the buffer has at most, of a rule on the size of packets (`dsize`).
  var sizeMax: UInt32 = .max
  /// The hit must end where the buffer does.
  var isAtEnd = false
  /// Which of the buffers, or of the groups of rules, that share a table the literal belongs to.
  var member: UInt8 = 0
  /// Octets of the literal; known in tables.
  var length: UInt16 = 0

  /// A hit that ends so many octets from where positions count.
  func allows(_ end: UInt64) -> Bool { end >= UInt64(endMin) && (endMax == .max || end <= UInt64(endMax)) }
}

/// Where a literal was seen: it ends nowhere before the one and nowhere behind the other.
struct LiteralPlace: Sendable, BitwiseCopyable {
  var firstEnd: UInt32
  var lastEnd: UInt32
  /// How often it was seen; ``countMax`` for that often or more.
  var count: UInt8

  static let countMax: UInt8 = 3
  /// It is in no place but these two.
  var areBothKnown: Bool { count < Self.countMax }

  /// Anywhere.
  static let unknown = LiteralPlace(firstEnd: 0, lastEnd: .max, count: countMax)
}

/// Which part of some bytes was scanned when ``LiteralPlace``s were noted.
struct ScannedPart {
  /// Where the first of the bytes lies in the whole buffer or stream.
  var offset: UInt64 = 0
  /// What ends before or here was not looked at.
  var from = 0

  static let whole = ScannedPart()
}
