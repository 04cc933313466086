import Synchronization

/// Numbers for the names of flowbits, flowints, xbits and hostbits.
///
/// Kept beside the rule sets, not in them, so that the state of flows and hosts survives a reload.
/// - Limits: 65,535 names; a rule that needs another one is refused.
public final class VariableNames: Sendable {
  enum Kind: UInt8, Sendable, Hashable {
    case flowBit, flowInteger, hostBit, pairBit, transactionBit
  }

  private struct Key: Hashable {
    var kind: Kind
    var name: String
  }

  /// Sets of values that rules name, which live as long.
  public let datasets = DatasetStore()
  private let numbers = Mutex<[Key: UInt16]>([:])
  private static let countMax = Int(UInt16.max)

  public init() {}

  /// The number of a name, made on first use; nil when there are too many. Each kind counts from 0.
  func number(_ kind: Kind, _ name: String) -> UInt16? {
    numbers.withLock { table in
      let key = Key(kind: kind, name: name)
      if let known = table[key] { return known }
      let next = table.keys.count { $0.kind == kind }
      guard next < Self.countMax else { return nil }
      let number = UInt16(truncatingIfNeeded: next)
      table[key] = number
      return number
    }
  }

  func names(_ kind: Kind) -> [UInt16: String] {
    numbers.withLock { table in
      var result: [UInt16: String] = [:]
      for (key, number) in table where key.kind == kind { result[number] = key.name }
      return result
    }
  }
}
