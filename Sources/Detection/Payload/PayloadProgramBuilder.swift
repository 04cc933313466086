import CSluicePCRE2
import RuleLanguage

/// Builds a ``PayloadProgram`` from the options of a rule, in the order of the rule.
public struct PayloadProgramBuilder {
  /// The options that `add` takes; any other belongs to the rule as a whole.
  public static let keywords: Set<String> = Set([
    "content", "nocase", "offset", "depth", "distance", "within", "startswith", "endswith",
    "fast_pattern", "rawbytes", "replace", "pcre", "byte_test", "byte_jump", "byte_extract",
    "byte_math", "isdataat", "bsize", "base64_decode", "base64_data", "entropy", "absent", "asn1",
  ]).union(BufferTransform.keywords)

  /// Contents and other steps in order, contents as the rule gives them.
  private enum Draft {
    case content(ContentStep)
    case step(PayloadStep)
  }

  private var drafts: [Draft] = []
  private var expressions: [RegularExpression] = []
  private var datasets: [DatasetTest] = []
  private var transforms: [BufferTransform] = []
  private var absence = PayloadProgram.Absence.mustExist
  /// Steps after `base64_data`, which see what the `base64_decode` before it yields.
  private var nestedDrafts: [Draft] = []
  private var base64Index: Int?
  private var isNested = false

  public init() {}

  public var isEmpty: Bool { drafts.isEmpty && transforms.isEmpty && absence == .mustExist }
  public var hasTransforms: Bool { !transforms.isEmpty }
  /// There is a step already: a sticky buffer named again begins a new block where buffers are multiple.
  public var hasSteps: Bool { !drafts.isEmpty }

  /// `absent` stands with it.
  var hasAbsence: Bool { absence != .mustExist }

  /// How much there is of each kind, for explanations.
  struct Counts {
    var steps = 0
    var nested = 0
    var transforms = 0
    var hasAbsence = false
  }

  var counts: Counts {
    Counts(
      steps: drafts.count, nested: nestedDrafts.count, transforms: transforms.count,
      hasAbsence: absence != .mustExist)
  }

  /// The rule has named another buffer since: `base64_data` is over.
  public mutating func resume() { isNested = false }

  /// - Throws: with the offset in the option's value where one character is to blame.
  public mutating func add(
    _ option: RuleOption, variables: inout PayloadVariables
  ) throws(RuleValueError) {
    let value = option.value ?? []
    switch option.name {
    case "content":
      let pattern = try ContentPattern.parse(value)
      append(.content(ContentStep(bytes: pattern.bytes, isNegated: pattern.isNegated)))
    case "nocase", "offset", "depth", "distance", "within", "startswith", "endswith", "fast_pattern",
      "rawbytes", "replace":
      try modify(option, variables)
    case "pcre": try addExpression(value)
    case "byte_test": append(.step(.byteTest(try ByteTest.parse(value, variables))))
    case "byte_jump": append(.step(.byteJump(try ByteJump.parse(value, variables))))
    case "byte_extract": append(.step(.byteExtract(try ByteExtract.parse(value, &variables))))
    case "byte_math": append(.step(.byteMath(try ByteMath.parse(value, &variables))))
    case "isdataat": append(.step(.isDataAt(try IsDataAt.parse(value, variables))))
    case "bsize": append(.step(.size(try NumericCondition.parse(value))))
    case "asn1": append(.step(.asn1(try ASN1Test.parse(value))))
    case "entropy": append(.step(.entropy(try EntropyTest.parse(value))))
    case "base64_decode":
      append(.step(.base64(try Base64Instruction.parse(value))))
      base64Index = drafts.count - 1
    case "base64_data":
      guard base64Index != nil else {
        throw .misplaced(
          "base64_data needs a base64_decode before it", hint: "base64_decode; base64_data; content:\"…\";")
      }
      isNested = true
    case "absent": try setAbsence(value)
    default:
      guard let transform = try BufferTransform.parse(option.name, value) else {
        throw RuleValueError("\(option.name) is not a payload keyword")
      }
      guard drafts.isEmpty else {
        throw .misplaced("the transform \(option.name) must stand right behind its buffer")
      }
      transforms.append(transform)
    }
  }

  /// The length of the buffer, from `urilen` and its like.
  public mutating func append(size condition: NumericCondition) {
    append(.step(.size(condition)))
  }

  public mutating func append(content: ContentStep) { append(.content(content)) }

  mutating func append(dataset: DatasetTest) {
    datasets.append(dataset)
    append(.step(.dataset(Int32(datasets.count - 1))))
  }

  /// Takes away the last content, for a legacy modifier that moves it to another buffer.
  public mutating func takeLastContent() -> ContentStep? {
    guard let index = lastContentIndex, case .content(let content) = drafts[index], !isNested else { return nil }
    drafts.remove(at: index)
    return content
  }

  // MARK: Parts

  private mutating func append(_ draft: Draft) {
    if isNested { nestedDrafts.append(draft) } else { drafts.append(draft) }
  }

  private var lastContentIndex: Int? {
    (isNested ? nestedDrafts : drafts).lastIndex { if case .content = $0 { true } else { false } }
  }

  private mutating func modify(
    _ option: RuleOption, _ variables: PayloadVariables
  ) throws(RuleValueError) {
    guard let index = lastContentIndex,
      case .content(var content) = isNested ? nestedDrafts[index] : drafts[index]
    else {
      throw .misplaced("\(option.name) needs a content before it", hint: "content:\"…\"; \(option.name);")
    }
    try content.apply(option, variables)
    if isNested { nestedDrafts[index] = .content(content) } else { drafts[index] = .content(content) }
  }

  private mutating func addExpression(_ value: [UInt8]) throws(RuleValueError) {
    let parsed = try ExpressionValue.parse(value)
    expressions.append(
      try RegularExpression(
        pattern: parsed.pattern, options: parsed.options, captureNames: parsed.captures))
    append(
      .step(
        .pcre(
          ExpressionInstruction(
            index: Int32(expressions.count - 1), isNegated: parsed.isNegated,
            isRelative: parsed.isRelative))))
  }

  private mutating func setAbsence(_ value: [UInt8]) throws(RuleValueError) {
    switch String(decoding: value, as: UTF8.self).filter({ $0 != " " }) {
    case "": absence = .mustBeAbsent
    case "or_else": absence = .mayBeAbsent
    case let other:
      throw RuleValueError("absent takes nothing or or_else, not \(other)", hint: "absent: or_else")
    }
  }

  // MARK: Finishing

  /// - Parameter ordersLiterals: false where that is done when the literal that the rule is found by is chosen.
  /// - Throws: where the parts do not fit together.
  public func finish(ordersLiterals: Bool = true) throws(RuleValueError) -> PayloadProgram {
    if absence == .mustBeAbsent, !drafts.isEmpty {
      throw RuleValueError("absent alone leaves nothing to look into", hint: "absent: or_else")
    }
    if absence == .mayBeAbsent, drafts.isEmpty {
      throw RuleValueError("absent: or_else needs something to match when the buffer is there")
    }
    var program = Self.assemble(drafts, expressions)
    program.datasets = datasets
    program.transforms = transforms
    program.absence = absence
    if ordersLiterals { program.orderLiterals() }
    if let base64Index, !nestedDrafts.isEmpty {
      program.nested = [Self.assemble(nestedDrafts, expressions)]
      program.nested[0].datasets = datasets
      program.nested[0].orderLiterals()
      if case .base64(var step) = program.steps[base64Index] {
        step.nested = 0
        program.steps[base64Index] = .base64(step)
      }
    }
    return program
  }

  private static func assemble(_ drafts: [Draft], _ expressions: [RegularExpression]) -> PayloadProgram {
    var program = PayloadProgram()
    program.expressions = expressions
    for draft in drafts {
      switch draft {
      case .content(let content):
        program.contents.append(content)
        program.steps.append(.content(program.store(content)))
      case .step(let step):
        program.steps.append(step)
        switch step {
        case .byteExtract, .byteMath: program.hasVariables = true
        case .content, .pcre, .byteTest, .byteJump, .isDataAt, .size, .base64, .entropy, .dataset, .asn1: break
        }
      }
      if program.steps.last?.isRelative == true { program.anchorLastMatch() }
    }
    program.isMonotone = program.steps.allSatisfy(\.keepsOrder)
    return program
  }
}

extension PayloadProgram {
  fileprivate mutating func store(_ content: ContentStep) -> ContentInstruction {
    let bytes = content.isCaseInsensitive ? content.bytes.map(ByteSearch.lower) : content.bytes
    var step = ContentInstruction(content, bytes, at: literals.count)
    literals += bytes
    if let replacement = content.replacement {
      step.replacementStart = Int32(literals.count)
      literals += replacement
    }
    return step
  }

  /// The last content or pcre before the step just added is what that step is positioned by.
  fileprivate mutating func anchorLastMatch() {
    for index in steps.indices.dropLast().reversed() {
      switch steps[index] {
      case .content(var step):
        step.anchorsNext = true
        steps[index] = .content(step)
        return
      case .pcre(var step):
        step.anchorsNext = true
        steps[index] = .pcre(step)
        return
      case .byteTest, .byteJump, .byteExtract, .byteMath, .isDataAt, .size, .base64, .entropy, .dataset, .asn1: continue
      }
    }
  }
}

extension PayloadStep {
  fileprivate var keepsOrder: Bool {
    switch self {
    case .content(let step): step.distance?.isVariable != true && step.offset?.isVariable != true
    case .byteTest, .isDataAt, .size, .entropy, .dataset, .asn1: true
    case .pcre, .byteJump, .byteExtract, .byteMath, .base64: false
    }
  }

  fileprivate var isRelative: Bool {
    switch self {
    case .content(let step): step.isRelative
    case .pcre(let step): step.isRelative
    case .byteTest(let step): step.shape.isRelative
    case .byteJump(let step): step.shape.isRelative
    case .byteExtract(let step): step.shape.isRelative
    case .byteMath(let step): step.shape.isRelative
    case .isDataAt(let step): step.isRelative
    case .base64(let step): step.isRelative
    case .asn1(let step): step.isRelative
    case .size, .entropy, .dataset: false
    }
  }
}
