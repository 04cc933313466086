/// The decode events of one packet as 256 bits, one for each ``DecodeEvent``.
public struct DecodeEventSet: Sendable, BitwiseCopyable {
  @usableFromInline var word0: UInt64 = 0
  @usableFromInline var word1: UInt64 = 0
  @usableFromInline var word2: UInt64 = 0
  @usableFromInline var word3: UInt64 = 0
  /// Events found more than once, an octet for each further time: the raw value and one.
  @usableFromInline var again: UInt64 = 0

  @inlinable
  public init() {}

  @inlinable
  public var isEmpty: Bool { word0 | word1 | word2 | word3 == 0 }

  @inlinable
  public mutating func insert(_ event: DecodeEvent) {
    if contains(event), again >> 56 == 0 { again = again << 8 | UInt64(event.rawValue &+ 1) }
    let bit = UInt64(1) << UInt64(event.rawValue & 63)
    switch event.rawValue >> 6 {
    case 0: word0 |= bit
    case 1: word1 |= bit
    case 2: word2 |= bit
    default: word3 |= bit
    }
  }

  @inlinable
  public func contains(_ event: DecodeEvent) -> Bool {
    let bit = UInt64(1) << UInt64(event.rawValue & 63)
    switch event.rawValue >> 6 {
    case 0: return word0 & bit != 0
    case 1: return word1 & bit != 0
    case 2: return word2 & bit != 0
    default: return word3 & bit != 0
    }
  }

  /// How often the event was found in the packet; beyond eight repetitions of any are not counted.
  public func count(_ event: DecodeEvent) -> Int {
    guard contains(event) else { return 0 }
    var count = 1
    var rest = again
    while rest != 0 {
      if rest & 0xff == UInt64(event.rawValue &+ 1) { count &+= 1 }
      rest >>= 8
    }
    return count
  }

  @inlinable
  public mutating func formUnion(_ other: DecodeEventSet) {
    if again == 0 { again = other.again }
    word0 |= other.word0
    word1 |= other.word1
    word2 |= other.word2
    word3 |= other.word3
  }
}
