import Traffic

/// A look-up of a buffer in a dataset, perhaps with a change of it.
struct DatasetTest: Sendable {
  enum Command: Sendable {
    case isSet, isNotSet
    /// Holds when the value was not there before.
    case set
    /// Holds when the value was there.
    case unset
    /// `datarep`.
    case less(UInt16), equal(UInt16), greater(UInt16)
  }

  var dataset: Dataset
  var command: Command
  /// `match subdomain`: names below those of the set count.
  var matchesDomains = false
  /// Under which name the alert gets what the set knows of the value.
  var contextName: String?

  /// - Parameter found: gets what the set knows of the value, as JSON.
  func holds(_ bytes: RawSpan, found: (String, [UInt8]) -> Void) -> Bool {
    guard let key = dataset.key(bytes) else {
      if case .isNotSet = command { return true }
      return false
    }
    let entry = matchesDomains ? dataset.entryOfDomain(key) : dataset.entry(key)
    switch command {
    case .isSet:
      guard let entry else { return false }
      if let contextName, !entry.context.isEmpty { found(contextName, entry.context) }
      return true
    case .isNotSet: return entry == nil
    case .set: return dataset.add(key)
    case .unset: return dataset.remove(key)
    case .less(let value): return entry?.reputation.map { $0 < value } ?? false
    case .equal(let value): return entry?.reputation == value
    case .greater(let value): return entry?.reputation.map { $0 > value } ?? false
    }
  }
}
