import CSluicePCRE2
import RuleLanguage
import Traffic

/// What matching writes down while it goes through a rule; one for each worker.
public struct PayloadScratch: ~Copyable {
  /// Values of `byte_extract`, `byte_math`; indexed by a rule's variables.
  private(set) var variables: [UInt64] = Array(repeating: 0, count: PayloadVariables.countMax)
  /// A variable has been set since the rule began.
  private var hasVariables = false
  /// The step whose literal lies within ``foundRange`` if anywhere, as the prefilter has seen; -1 for none.
  var foundStep: Int8 = -1
  private(set) var foundRange = 0..<0
  /// Where what ends is not known of, whatever that range.
  private(set) var unseenEnd = 0
  /// Where it ends within that range, where that is known of all of them.
  private(set) var foundEnds: (ends: SIMD4<Int32>, count: Int)?
  /// Where the last match ended: what relative steps count from.
  var cursor = 0
  /// Steps still allowed for this rule and buffer (Suricata `inspection-recursion-limit`).
  var budget = 0
  /// A negated relative match, or the budget, made further tries pointless.
  var isDiscontinued = false
  var decoded: [UInt8] = []
  let matchData: RegularExpressionScratch
  /// Captures of pcre for `flow:` and `pkt:` variables, of the rule in hand.
  public internal(set) var captures: [PayloadCapture] = []
  /// What `replace` puts over the buffer, of the rule in hand.
  public internal(set) var replacements: [PayloadReplacement] = []
  /// Times that a rule ran out of its budget, and that PCRE2 ran out of its own.
  public internal(set) var budgetExhaustedCount: UInt64 = 0
  public internal(set) var expressionLimitCount: UInt64 = 0
  /// Octets that literals were looked for in.
  public internal(set) var searchedBytes: UInt64 = 0

  public static let stepsMax = 3000

  public init() { matchData = RegularExpressionScratch() }

  /// Before each rule: variables, captures and replacements of another rule are forgotten.
  public mutating func beginRule() {
    if !captures.isEmpty { captures.removeAll(keepingCapacity: true) }
    if !replacements.isEmpty { replacements.removeAll(keepingCapacity: true) }
    guard hasVariables else { return }
    for index in 0..<PayloadVariables.countMax { variables[index] = 0 }
    hasVariables = false
  }

  /// - Parameters:
  ///   - place: where the literal that the prefilter finds lies.
  ///   - part: what the prefilter has seen of the bytes, of which there are `count`.
  mutating func begin(
    _ program: borrowing PayloadProgram, _ place: LiteralPlace, _ part: ScannedPart, count: Int
  ) {
    guard place.count > 0, program.foundStep >= 0, program.transforms.isEmpty,
      case .content(let content) = program.steps[Int(program.foundStep)]
    else { return }
    // Places have 32 bits, which streams go beyond; these bytes do not.
    let offset = UInt32(truncatingIfNeeded: part.offset)
    let (firstEnd, lastEnd) = (Int(place.ends[0] &- offset), Int(place.lastEnd &- offset))
    guard firstEnd <= lastEnd, lastEnd <= count else { return }
    foundStep = program.foundStep
    let first = max(0, firstEnd &- Int(content.literalCount))
    foundRange = first..<max(first, lastEnd)
    unseenEnd = part.from
    foundEnds = place.hasMore
      ? nil : (SIMD4(truncatingIfNeeded: place.ends &- SIMD4(repeating: offset)), Int(place.count))
  }

  /// Steps that noted these have come to nothing.
  mutating func forget(replacementsFrom count: Int) {
    if replacements.count > count { replacements.removeLast(replacements.count - count) }
  }

  mutating func forget(capturesFrom count: Int) {
    if captures.count > count { captures.removeLast(captures.count - count) }
  }

  mutating func set(_ variable: UInt8, _ value: UInt64) {
    variables[Int(variable)] = value
    hasVariables = true
  }
}

public struct PayloadCapture: Sendable {
  public enum Scope: Sendable {
    case flow, packet
    /// Told in the alert alone.
    case alert
    /// As `alert`; the bytes are JSON.
    case context
    /// The entropy of a buffer, as a number in decimal digits.
    case entropy
  }
  public var scope: Scope
  public var name: String
  public var bytes: [UInt8]
}

public struct PayloadReplacement: Sendable {
  /// Octets from the start of the buffer.
  public var position: Int
  public var bytes: [UInt8]

  public init(position: Int, bytes: [UInt8]) {
    self.position = position
    self.bytes = bytes
  }
}

/// The names that a rule's `byte_extract` and `byte_math` give to numbers.
public struct PayloadVariables: Sendable {
  /// More variables than this in one rule refuse it.
  public static let countMax = 32
  private var names: [String] = []

  public init() {}

  public var isEmpty: Bool { names.isEmpty }

  func index(of name: String) -> UInt8? {
    names.firstIndex(of: name).map { UInt8(truncatingIfNeeded: $0) }
  }

  mutating func define(_ name: String) throws(RuleValueError) -> UInt8 {
    if let known = index(of: name) { return known }
    guard names.count < Self.countMax else {
      throw RuleValueError("more than \(Self.countMax) variables in one rule")
    }
    names.append(name)
    return UInt8(truncatingIfNeeded: names.count - 1)
  }
}
