/// A number that a rule gives as such or as the name of a variable that an earlier step fills.
public enum Operand: Sendable, Hashable, BitwiseCopyable {
  case constant(Int64)
  /// Index into the rule's variables.
  case variable(UInt8)

  var isVariable: Bool { if case .variable = self { true } else { false } }
}

/// A `content` with its modifiers, as the rule gives it.
///
/// - Source: Suricata "Payload Keywords": content, nocase, depth, offset, distance, within,
///   startswith, endswith, fast_pattern, replace.
public struct ContentStep: Sendable, Hashable {
  public enum FastPatternRequest: Sendable, Hashable {
    case whole
    /// Found by the prefilter is enough; the content is not checked again.
    case only
    case chop(offset: Int, length: Int)
  }

  public var bytes: [UInt8]
  public var isNegated: Bool
  public var isCaseInsensitive = false
  public var offset: Operand?
  public var depth: Operand?
  public var distance: Operand?
  public var within: Operand?
  public var startsWith = false
  public var endsWith = false
  public var fastPattern: FastPatternRequest?
  public var replacement: [UInt8]?

  public init(bytes: [UInt8], isNegated: Bool = false) {
    self.bytes = bytes
    self.isNegated = isNegated
  }

  /// Positioned by where the step before it ended.
  public var isRelative: Bool { distance != nil || within != nil }

  /// May stand anywhere in the buffer.
  public var isUnconstrained: Bool {
    !isNegated && !isRelative && offset == nil && depth == nil && !startsWith && !endsWith
      && replacement == nil
  }
}
