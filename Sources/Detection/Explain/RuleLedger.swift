import RuleLanguage

/// Which option of a rule became which part of its compiled form; kept only where a rule is explained.
///
/// The texts stand in the order of the compiled parts, so that an explanation shows what runs, in the words
/// of the rule.
struct RuleLedger {
  /// One block of steps over the payload or a buffer.
  struct Block {
    var transforms: [String] = []
    /// A text for each step, modifiers behind their content.
    var steps: [String] = []
    /// Steps behind `base64_data`.
    var nested: [String] = []
    /// What `absent` says.
    var absence: String?
  }

  /// How many parts there were before an option was read.
  struct Marks {
    var conditions: Int
    var transactionConditions: Int
    var actions: Int
    var steps: [PayloadProgramBuilder.Counts]

    init(_ reader: RuleReader) {
      conditions = reader.draft.conditions.count
      transactionConditions = reader.draft.transactionConditions.count
      actions = reader.draft.actions.count
      steps = reader.blocks.map(\.builder.counts)
    }
  }

  var conditions: [String] = []
  var transactionConditions: [String] = []
  var actions: [String] = []
  /// As the reader's blocks: the payload's first.
  var blocks: [Block] = [Block()]

  mutating func noteHook(_ text: String, _ reader: RuleReader) {
    Self.fill(&conditions, reader.draft.conditions.count, text)
    Self.fill(&transactionConditions, reader.draft.transactionConditions.count, text)
  }

  mutating func note(_ option: RuleOption, since marks: Marks, _ reader: RuleReader) {
    let text = Self.text(option)
    Self.fill(&conditions, reader.draft.conditions.count, text)
    Self.fill(&transactionConditions, reader.draft.transactionConditions.count, text)
    Self.fill(&actions, reader.draft.actions.count, text)
    while blocks.count < reader.blocks.count { blocks.append(Block()) }
    var moved: String?
    for index in marks.steps.indices
    where reader.blocks[index].builder.counts.steps < marks.steps[index].steps {
      moved = blocks[index].steps.popLast()
    }
    var isNew = moved != nil
    for index in reader.blocks.indices {
      let now = reader.blocks[index].builder.counts
      let before = marks.steps.indices.contains(index) ? marks.steps[index] : PayloadProgramBuilder.Counts()
      if now.steps > before.steps {
        blocks[index].steps.append(moved.map { "\($0); \(text)" } ?? text)
        isNew = true
      }
      if now.nested > before.nested {
        blocks[index].nested.append(text)
        isNew = true
      }
      if now.transforms > before.transforms {
        blocks[index].transforms.append(text)
        isNew = true
      }
      if now.hasAbsence, !before.hasAbsence {
        blocks[index].absence = text
        isNew = true
      }
    }
    if !isNew, Self.contentModifiers.contains(option.name) { modify(reader.lastContentBlock, text) }
  }

  /// The blocks that became the rule's buffers, in their order; filled once the rule is read.
  private(set) var buffers: [Block] = []

  /// Leaves out the blocks that nothing was asked of, as the rule does.
  mutating func settle(_ reader: RuleReader) {
    for (index, block) in reader.blocks.enumerated() where index > 0 && !block.builder.isEmpty {
      buffers.append(blocks.indices.contains(index) ? blocks[index] : Block())
    }
    if reader.draft.kind == .transaction, let first = reader.blocks.first, !first.builder.isEmpty {
      buffers.append(blocks[0])
    }
  }

  private static let contentModifiers: Set<String> = Set(KeywordCatalog.contentModifiers.map(\.name)).union(["replace"])

  /// Adds a modifier to the last content of a block.
  private mutating func modify(_ index: Int, _ text: String) {
    guard blocks.indices.contains(index) else { return }
    if let last = blocks[index].nested.lastIndex(where: Self.isContent) {
      blocks[index].nested[last] += "; " + text
    } else if let last = blocks[index].steps.lastIndex(where: Self.isContent) {
      blocks[index].steps[last] += "; " + text
    }
  }

  private static func isContent(_ text: String) -> Bool { text.hasPrefix("content:") || text.hasPrefix("uricontent:") }

  private static func fill(_ texts: inout [String], _ count: Int, _ text: String) {
    while texts.count < count { texts.append(text) }
  }

  static func text(_ option: RuleOption) -> String {
    option.valueText.map { "\(option.name):\($0)" } ?? option.name
  }
}
