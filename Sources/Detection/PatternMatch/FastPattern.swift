/// The literal by which a rule is found in a buffer before its steps are tried.
struct FastPattern: Hashable, Sendable {
  let bytes: [UInt8]
  var isCaseInsensitive: Bool
  var constraint: HitConstraint
  /// Of the octets: a literal is looked up in several tables.
  private let digest: UInt64

  init(bytes: [UInt8], isCaseInsensitive: Bool, constraint: HitConstraint = HitConstraint()) {
    self.bytes = bytes
    self.isCaseInsensitive = isCaseInsensitive
    self.constraint = constraint
    var sum: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01b3 }
    digest = sum
  }

  /// The octets go into one number first: the library's hash takes an array element by element, which was a
  /// twentieth of the time that a rule set takes to load. Who writes rules gains nothing by collisions.
  func hash(into hasher: inout Hasher) {
    hasher.combine(digest)
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

  /// The literal must be all of the buffer.
  mutating func makeWhole(_ count: Int) {
    isAtEnd = true
    endMin = UInt32(clamping: count)
    endMax = min(endMax, endMin)
    sizeMax = min(sizeMax, endMin)
  }

  /// A hit that ends so many octets from where positions count.
  func allows(_ end: UInt64) -> Bool { end >= UInt64(endMin) && (endMax == .max || end <= UInt64(endMax)) }
}

/// Where a literal was seen: it ends nowhere before the first of these places and nowhere behind the last.
struct LiteralPlace: Sendable, BitwiseCopyable {
  /// The first places where it ends, ascending: as many as were seen, ``countMax`` at most.
  var ends = SIMD4<UInt32>()
  var count: UInt8 = 0
  /// There may be others between the last of those and `lastEnd`.
  var hasMore = false
  var lastEnd: UInt32

  static let countMax = 4

  init(end: UInt32) {
    ends[0] = end
    count = 1
    lastEnd = end
  }

  private init() {
    hasMore = true
    lastEnd = .max
  }

  /// Anywhere.
  static let unknown = LiteralPlace()

  /// The same places, counted from another one.
  func counted(from origin: UInt32) -> LiteralPlace {
    var place = self
    place.ends &-= SIMD4(repeating: origin)
    place.lastEnd &-= origin
    return place
  }

  /// Takes up another place, or one that is known. Numbers wrap, as offsets in a stream do.
  mutating func add(_ end: UInt32) {
    if Self.isBehind(end, lastEnd) { return append(end) }
    for index in 0..<Int(count) where ends[index] == end { return }
    if end == lastEnd { return }
    // Between others: which they are is not known any more.
    if Self.isBehind(ends[0], end) { ends[0] = end }
    count = 1
    hasMore = true
  }

  private mutating func append(_ end: UInt32) {
    lastEnd = end
    guard !hasMore, Int(count) < Self.countMax else {
      hasMore = true
      return
    }
    ends[Int(count)] = end
    count &+= 1
  }

  private static func isBehind(_ place: UInt32, _ other: UInt32) -> Bool { Int32(bitPattern: place &- other) > 0 }
}

/// Which part of some bytes was scanned when ``LiteralPlace``s were noted.
struct ScannedPart {
  /// Where the first of the bytes lies in the whole buffer or stream.
  var offset: UInt64 = 0
  /// What ends before or here was not looked at.
  var from = 0

  static let whole = ScannedPart()
}
