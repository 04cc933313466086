import RuleLanguage

/// What became of the rules of one piece of a file, in the order of the file.
///
/// Its numbers of sets and variables are its own: they become those of the rule set when the pieces are joined.
final class CompiledPiece: @unchecked Sendable {
  // SAFETY: one thread fills it and hands it over under a lock; the one that takes it is then the only one that has
  // it and the drafts in it.

  enum Outcome {
    case draft(RuleDraft)
    indirect case refused(RuleTextReference, RuleDiagnostic)
    /// It goes by what the rules before it have declared, and is compiled when all of them are known.
    indirect case later(RuleSyntax)
  }

  struct Rule {
    var key: SuppressionKey
    var rev: UInt32
    var outcome: Outcome

    var location: RuleLocation {
      switch outcome {
      case .draft(let draft): draft.info.location
      case .refused(let text, _): text.location
      case .later(let rule): rule.location
      }
    }
  }

  private(set) var rules: [Rule] = []
  /// The thread that made it.
  var maker = 0
  /// Of rules that cannot be read.
  private(set) var diagnostics: [RuleDiagnostic] = []
  private(set) var warnings: [RuleDiagnostic] = []
  private(set) var addresses = SetNumbers<AddressSet>(any: .any)
  private(set) var ports = SetNumbers<PortSet>(any: .any)
  private(set) var names = VariableNames()

  /// Reads and compiles all that is left in the reader.
  init(_ reader: inout RuleFileReader, _ compiler: inout DraftCompiler) {
    compiler.restart()
    while let item = reader.next() {
      switch item {
      case .diagnostic(let diagnostic): diagnostics.append(diagnostic)
      case .rule(let rule):
        rules.append(
          Rule(key: SuppressionKey(gid: rule.gid, sid: rule.sid), rev: rule.rev, outcome: Self.outcome(rule, &compiler)))
      }
    }
    warnings = compiler.takeWarnings()
    (addresses, ports, names) = (compiler.addresses, compiler.ports, compiler.names)
  }

  private static func outcome(_ rule: RuleSyntax, _ compiler: inout DraftCompiler) -> Outcome {
    for option in rule.options where DatasetKeywords.isOne(option) { return .later(rule) }
    var ledger: RuleLedger?
    do throws(RuleDiagnostic) {
      let draft = try compiler.compile(rule, noting: &ledger)
      draft.chooseLiterals()
      return .draft(draft)
    } catch { return .refused(rule.textReference, error) }
  }

  /// Reads and compiles pieces on threads of their own and hands each over in order.
  ///
  /// On threads of their own because the C library gives a thread memory of its own: what is needed for long is
  /// copied by the caller, and of what a rule takes while it is compiled nothing is left that lies between. For the same
  /// reason a piece is taken apart by the thread that made it.
  /// - Parameters:
  ///   - next: yields the pieces, called by one thread at a time.
  ///   - threadCount: with 1, none of them works while the caller does.
  static func each(
    of next: @escaping @Sendable () -> RuleFilePiece?, _ settings: RuleCompiler.Settings, threadCount: Int,
    _ join: (CompiledPiece) -> Void
  ) {
    let handover = OrderedHandover<RuleFilePiece, CompiledPiece>(window: threadCount > 1 ? 2 * threadCount : 1, next: next)
    let threads = HelperThreads(count: max(threadCount, 1)) { compile(settings, handover) }
    if threads.isEmpty {
      // There may be no other thread: then the caller does it all.
      var compiler = DraftCompiler(settings, names: VariableNames())
      while let piece = next() {
        var reader = RuleFileReader(piece, keywords: KeywordTable.numberedNames)
        join(CompiledPiece(&reader, &compiler))
      }
    } else {
      var number = 0
      while let piece = handover.take(number) {
        join(piece)
        let maker = piece.maker
        handover.give(back: consume piece, to: maker)
        number += 1
      }
    }
    threads.wait()
  }

  private static func compile(
    _ settings: RuleCompiler.Settings, _ handover: OrderedHandover<RuleFilePiece, CompiledPiece>
  ) {
    let maker = handover.join()
    guard let first = handover.begin(maker).work else { return }
    var reader = RuleFileReader(first.input, keywords: KeywordTable.numberedNames)
    var compiler = DraftCompiler(settings, names: VariableNames())
    var next: (number: Int, input: RuleFilePiece)? = first
    while true {
      if let work = next {
        if work.number != first.number { reader.open(work.input) }
        let piece = CompiledPiece(&reader, &compiler)
        piece.maker = maker
        handover.hand(over: piece, number: work.number)
      }
      let (work, spent) = handover.begin(maker)
      // With the last of them nothing is left of this thread's.
      if work == nil, spent.isEmpty { return }
      next = work
    }
  }
}
