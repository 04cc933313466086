import AppLayer
import Traffic

extension Detector {
  /// Marks what a rule that matched wants stored: the files that it is about, or more by its scope.
  ///
  /// - Source: Suricata "File Extraction", filestore. The file is stored whatever becomes of the alert.
  mutating func store(
    _ action: FileStoreAction, _ rule: RuleIndex, _ body: RuleBody, _ transaction: Transaction,
    _ direction: Direction
  ) {
    let files = transaction.files(direction).filter { file in
      body.fileConditions.allSatisfy { $0.holds(file) }
    }
    let directions = action.directions ?? [direction]
    let own = directions.contains(direction) ? files : []
    if let info = ruleSet.info(rule) { for file in own { file.note(sid: info.sid) } }
    transaction.store(action.scope, directions, files: own)
  }
}
