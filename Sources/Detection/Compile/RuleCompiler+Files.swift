import RuleLanguage

extension RuleCompiler {
  /// Reads and compiles rule files on as many threads as the settings say; keeps none of the syntax.
  ///
  /// What comes of it is the same with any number of threads. As in Suricata, of two rules with one gid and sid the
  /// higher revision stays, and of equal ones the first (``RuleDuplicates``); of one that is replaced nothing is said.
  /// - Parameter next: yields the pieces of the files in order, called on any thread by one at a time.
  /// - Returns: rules that were found, those that are refused among them.
  public mutating func add(_ next: @escaping @Sendable () -> RuleFilePiece?) -> Int {
    LoadingHeap.begin()
    var files = RuleFilesJoin()
    CompiledPiece.each(of: next, settings, threadCount: settings.threadCount) { piece in
      join(piece, &files)
    }
    for (slot, rule) in files.later where files.slots[slot].rev == rule.rev {
      var ledger: RuleLedger?
      do throws(RuleDiagnostic) {
        let draft = try compile(rule, noting: &ledger)
        draft.chooseLiterals()
        files.slots[slot].index = list(draft, number: slot)
      } catch { files.refusals.append((slot, error)) }
    }
    diagnostics += files.diagnostics + files.doubles + files.warnings
    diagnostics += files.refusals.sorted { $0.slot < $1.slot }.map(\.diagnostic)
    return files.count
  }

  private mutating func join(_ piece: CompiledPiece, _ files: inout RuleFilesJoin) {
    let (addresses, ports) = own.merge(piece.addresses, piece.ports)
    let map = NumberMap(addresses: addresses, ports: ports, names: shared.names.merge(piece.names))
    files.diagnostics += piece.diagnostics
    files.count += piece.rules.count + piece.diagnostics.count { $0.severity == .error }
    for warning in piece.warnings where isNew(warning) { files.warnings.append(warning) }
    for rule in piece.rules {
      guard let slot = place(rule, &files) else { continue }
      switch rule.outcome {
      case .draft(let draft):
        do throws(RuleDiagnostic) {
          try draft.renumber(map)
          files.slots[slot].index = list(draft, number: slot)
        } catch { files.refusals.append((slot, error)) }
      case .refused(let text, let diagnostic):
        files.slots[slot].text = text
        files.refusals.append((slot, diagnostic))
      case .later(let rule):
        files.slots[slot].text = rule.textReference
        files.later.append((slot, rule))
      }
    }
  }

  /// The slot that the rule takes, which may be that of one it replaces; nil where another stays.
  private mutating func place(_ rule: CompiledPiece.Rule, _ files: inout RuleFilesJoin) -> Int? {
    guard let slot = files.known[rule.key] else {
      files.known[rule.key] = files.slots.count
      files.slots.append(RuleFilesJoin.Slot(rev: rule.rev))
      return files.slots.count - 1
    }
    let first = files.slots[slot]
    guard rule.rev > first.rev else {
      let known = first.index.map { location($0) } ?? first.text?.location
      files.doubles.append(.alreadyUsed(rule.key.sid, rev: first.rev, at: rule.location, first: known ?? rule.location))
      return nil
    }
    if let index = first.index { remove(index) }
    files.refusals.removeAll { $0.slot == slot }
    files.later.removeAll { $0.slot == slot }
    files.slots[slot] = RuleFilesJoin.Slot(rev: rule.rev)
    return slot
  }
}

/// What is known of the rules of all files while they are joined.
private struct RuleFilesJoin {
  /// A place in the order of loading, for one gid and sid.
  struct Slot {
    var rev: UInt32
    /// In the listing, of a rule that is compiled; of others the text.
    var index: Int?
    var text: RuleTextReference?
  }

  var slots: [Slot] = []
  var known: [SuppressionKey: Int] = [:]
  var later: [(slot: Int, rule: RuleSyntax)] = []
  var count = 0
  /// In the order in which they are told.
  var diagnostics: [RuleDiagnostic] = []
  var doubles: [RuleDiagnostic] = []
  var warnings: [RuleDiagnostic] = []
  var refusals: [(slot: Int, diagnostic: RuleDiagnostic)] = []
}
