import Synchronization

/// Numbers for the names of flowbits, flowints, xbits and hostbits.
///
/// Kept beside the rule sets, not in them, so that the state of flows and hosts survives a reload.
/// - Limits: 65,535 names; a rule that needs another one is refused.
public final class VariableNames: Sendable {
  enum Kind: UInt8, Sendable, Hashable, CaseIterable {
    case flowBit, flowInteger, hostBit, pairBit, transactionBit
  }

  private struct Key: Hashable {
    var kind: Kind
    var name: String
  }

  /// Sets of values that rules name, which live as long.
  public let datasets = DatasetStore()
  private struct Table {
    var numbers: [Key: UInt16] = [:]
    /// By kind, then number.
    var names: [[String]] = Array(repeating: [], count: Kind.allCases.count)
  }

  private let table = Mutex(Table())
  private static let countMax = Int(UInt16.max)

  public init() {}

  /// The number of a name, made on first use; nil when there are too many. Each kind counts from 0.
  func number(_ kind: Kind, _ name: String) -> UInt16? {
    table.withLock { table in
      let key = Key(kind: kind, name: name)
      if let known = table.numbers[key] { return known }
      let next = table.names[Int(kind.rawValue)].count
      guard next < Self.countMax else { return nil }
      let number = UInt16(truncatingIfNeeded: next)
      table.numbers[key] = number
      table.names[Int(kind.rawValue)].append(name)
      return number
    }
  }

  /// Takes up the names of another, in the order of their numbers.
  ///
  /// - Returns: the number here, by kind and number there; nil where there are too many.
  func merge(_ other: VariableNames) -> [[UInt16?]] {
    Kind.allCases.map { kind in other.names(kind).map { number(kind, $0) } }
  }

  /// The names of a kind, by their numbers.
  func names(_ kind: Kind) -> [String] { table.withLock { $0.names[Int(kind.rawValue)] } }
}
