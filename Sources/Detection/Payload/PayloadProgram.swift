import RuleLanguage
import Traffic

/// The steps of one rule over one buffer, in rule order: contents, pcre, byte_* and their like.
///
/// Built keyword by keyword through ``PayloadProgramBuilder``; matched against as many buffers as
/// there are. Immutable and shared by all workers. The steps are plain data and the literals lie in
/// one array, so that matching touches no reference counts.
public struct PayloadProgram: Sendable {
  /// What the rule says of the buffer's absence (`absent` keyword).
  public enum Absence: Sendable {
    /// The buffer must be there.
    case mustExist
    /// `absent`: the rule matches only when there is no such buffer.
    case mustBeAbsent
    /// `absent: or_else`: no buffer, or one that matches.
    case mayBeAbsent
  }

  var steps: [PayloadStep] = []
  var literals: [UInt8] = []
  /// A step fills a variable, so that later ones depend on it though they are not relative.
  var hasVariables = false
  /// A later occurrence of one step never lets the next begin earlier: contents only, at fixed distances.
  var isMonotone = false
  /// The literals that must occur, in the order in which they are looked for in a buffer that grows.
  var literalOrder = LiteralOrder()
  /// The content that the prefilter finds; -1 where that is a part of one, or none.
  private(set) var foundStep: Int8 = -1
  /// Steps that did not hold can hold later only where one of the literals occurs anew.
  var needsNewLiteral = false
  var expressions: [RegularExpression] = []
  var datasets: [DatasetTest] = []
  /// The buffer's name in records of what was found in it.
  var bufferName = ""
  /// The `base64_data` programs, run over what a `base64_decode` step yields.
  var nested: [PayloadProgram] = []
  /// Transforms that make the buffer before the steps see it, in order.
  public internal(set) var transforms: [BufferTransform] = []
  public internal(set) var absence = Absence.mustExist
  /// The contents as the rule gives them, for choosing a fast pattern and for explaining.
  public internal(set) var contents: [ContentStep] = []

  /// The steps need the contents no more once a fast pattern is chosen; they are a sixth of a rule set.
  mutating func forgetContents() { contents = [] }

  /// The same program in memory of its own, without what matching needs no more.
  func copied() -> PayloadProgram {
    var copy = self
    copy.contents = []
    copy.steps = steps.copied()
    copy.literals = literals.copied()
    copy.expressions = expressions.map { $0.copied() }
    copy.datasets = datasets.copied()
    copy.transforms = transforms.copied()
    copy.nested = nested.map { program in
      var program = program
      // They have the same expressions.
      program.expressions = []
      program = program.copied()
      program.expressions = copy.expressions
      return program
    }
    return copy
  }

  public var isEmpty: Bool { steps.isEmpty && absence == .mustExist }

  /// No step could use anything but the bytes of one content anywhere in the buffer.
  public var isSinglePlainContent: Bool {
    steps.count == 1 && contents.count == 1 && contents[0].isUnconstrained
  }
}

extension Array {
  /// The same elements in an array of their own, with no room left.
  func copied() -> [Element] { map { $0 } }
}

/// Steps of a program in another order, packed: at most sixteen, of the first sixteen.
struct LiteralOrder: Sendable, BitwiseCopyable {
  static let stepsMax = 16
  private var packed: UInt64 = 0
  private(set) var count = 0

  /// The step that is at this place in the order.
  subscript(index: Int) -> Int { Int(packed >> (UInt64(index & 15) &* 4) & 15) }

  mutating func append(_ step: Int) {
    guard count < Self.stepsMax, step < Self.stepsMax else { return }
    packed |= UInt64(step) << (UInt64(count) &* 4)
    count += 1
  }
}

extension PayloadProgram {
  /// A step says where in the buffer something stands, or that something is not there, so that it makes a difference
  /// where the buffer begins.
  var countsFromStart: Bool {
    for (index, step) in steps.enumerated() {
      switch step {
      case .content(let content):
        if content.isNegated || content.startsWith || content.offset != nil || content.depth != nil { return true }
        if content.isRelative, index == 0 { return true }
      case .pcre(let expression):
        if expression.isNegated || !expression.isRelative { return true }
      case .byteTest(let test): if !test.shape.isRelative { return true }
      case .byteJump(let jump): if !jump.shape.isRelative || jump.fromBeginning { return true }
      case .byteExtract(let extract): if !extract.shape.isRelative { return true }
      case .byteMath(let math): if !math.shape.isRelative { return true }
      case .isDataAt(let test): if !test.isRelative { return true }
      case .base64(let decoded): if !decoded.isRelative { return true }
      // Of the buffer as a whole, or of structures that begin where the buffer does: a piece of a stream is neither.
      case .size, .entropy, .dataset, .asn1: break
      }
    }
    return false
  }

  /// Puts the literals in the order in which they are to be looked for: those that may stand only in some
  /// place first, because they rule out for good, then the rarest.
  ///
  /// - Parameter found: a content that the prefilter has seen already.
  mutating func orderLiterals(withoutContent found: Int? = nil) {
    // Rank and step in one number, best first; of equal ranks the earlier step.
    var keys = SIMD16<Int32>(repeating: -1)
    var content = 0
    foundStep = -1
    for (index, step) in steps.enumerated() {
      guard case .content(let instruction) = step else { continue }
      defer { content += 1 }
      if content == found { foundStep = Int8(exactly: index) ?? -1 }
      guard !instruction.isNegated, content != found, index < LiteralOrder.stepsMax else { continue }
      let start = Int(instruction.literalStart)
      let strength = LiteralAnchors.strength(literals[start..<start + Int(instruction.literalCount)])
      let isBound = !instruction.isRelative && (instruction.startsWith || instruction.depth != nil)
      // The strength is below 256, the number of the step below 16.
      var key = Int32(truncatingIfNeeded: (strength + (isBound ? 1000 : 0)) * 16 + 15 - index)
      for place in 0..<LiteralOrder.stepsMax where keys[place] < key {
        let other = keys[place]
        keys[place] = key
        key = other
      }
    }
    literalOrder = LiteralOrder()
    for place in 0..<LiteralOrder.stepsMax where keys[place] >= 0 { literalOrder.append(15 - Int(keys[place] & 15)) }
    needsNewLiteral = !steps.isEmpty && steps.allSatisfy { step in
      guard case .content(let instruction) = step else { return false }
      return !(instruction.isNegated && instruction.endsWith)
    }
  }
}

/// What the steps need to know beyond the bytes.
public struct BufferFacts: Sendable {
  /// Where the first byte lies in the whole buffer or stream.
  public var offset: UInt64
  public var isComplete: Bool

  @inlinable
  public init(offset: UInt64 = 0, isComplete: Bool = true) {
    self.offset = offset
    self.isComplete = isComplete
  }
}
