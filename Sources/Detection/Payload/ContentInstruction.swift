/// A content as matching has it. A rule set has a hundred thousand, so numbers take 32 bits, which all that rules may
/// say of positions fits (`ContentStep.apply`).
struct ContentInstruction: Sendable, BitwiseCopyable {
  let literalStart: Int32
  let literalCount: Int32
  /// Offset, depth, distance and within: the number, or the index of the variable that it is in.
  private var positions: (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
  /// Where its replacement stands in the literals, -1 without one; as long as the literal.
  var replacementStart: Int32 = -1
  let anchors: LiteralAnchors
  private var flags: Flags
  /// What stands in each of the positions, two bits each.
  private var kinds: UInt8 = 0

  private struct Flags: OptionSet, BitwiseCopyable {
    let rawValue: UInt8
    static let negated = Flags(rawValue: 1)
    static let caseInsensitive = Flags(rawValue: 2)
    static let relative = Flags(rawValue: 4)
    static let anchorsNext = Flags(rawValue: 8)
    static let startsWith = Flags(rawValue: 16)
    static let endsWith = Flags(rawValue: 32)
  }

  /// - Parameters:
  ///   - bytes: the literal, in lower case where case is ignored.
  ///   - start: where it stands in the literals.
  init(_ content: ContentStep, _ bytes: [UInt8], at start: Int) {
    literalStart = Int32(clamping: start)
    literalCount = Int32(clamping: bytes.count)
    anchors = LiteralAnchors(bytes)
    flags = []
    if content.isNegated { flags.insert(.negated) }
    if content.isCaseInsensitive { flags.insert(.caseInsensitive) }
    if content.isRelative { flags.insert(.relative) }
    if content.startsWith { flags.insert(.startsWith) }
    if content.endsWith { flags.insert(.endsWith) }
    positions = (
      Self.number(content.offset), Self.number(content.depth), Self.number(content.distance), Self.number(content.within))
    kinds =
      Self.kind(content.offset) | Self.kind(content.depth) << 2 | Self.kind(content.distance) << 4
      | Self.kind(content.within) << 6
  }

  private static func number(_ position: Operand?) -> Int32 {
    switch position {
    case .constant(let number): Int32(clamping: number)
    case .variable(let index): Int32(index)
    case nil: 0
    }
  }

  private static func kind(_ position: Operand?) -> UInt8 {
    switch position {
    case nil: 0
    case .constant: 1
    case .variable: 2
    }
  }

  var isNegated: Bool { flags.contains(.negated) }
  var isCaseInsensitive: Bool { flags.contains(.caseInsensitive) }
  var isRelative: Bool { flags.contains(.relative) }
  var startsWith: Bool { flags.contains(.startsWith) }
  var endsWith: Bool { flags.contains(.endsWith) }

  /// A later step is positioned by this one: on its failure the next occurrence is tried.
  var anchorsNext: Bool {
    get { flags.contains(.anchorsNext) }
    set { if newValue { flags.insert(.anchorsNext) } else { flags.remove(.anchorsNext) } }
  }

  var offset: Operand? { Self.position(positions.0, kinds) }
  var depth: Operand? { Self.position(positions.1, kinds >> 2) }
  var distance: Operand? { Self.position(positions.2, kinds >> 4) }
  var within: Operand? { Self.position(positions.3, kinds >> 6) }

  @inline(__always)
  private static func position(_ number: Int32, _ kind: UInt8) -> Operand? {
    switch kind & 3 {
    case 0: nil
    case 1: .constant(Int64(number))
    default: .variable(UInt8(truncatingIfNeeded: number))
    }
  }
}
