import AppLayer
import PacketDecoding
import Traffic

extension Detector {
  /// Tries the rules on what is new in transactions of one direction.
  ///
  /// Call it whenever the parser has consumed bytes of that direction, and once more at the end of the
  /// flow. Transactions done with in both directions answer ``isInspected(_:)`` with true.
  ///
  /// - Parameters:
  ///   - payload: the window of the raw stream, or the datagram, for rules that ask for both.
  ///   - packet: the packet that brought the bytes; for relayed streams one that holds the addresses.
  ///   - bytes: the packet's bytes, for rules that also look at headers; may be empty.
  public mutating func inspectTransactions(
    _ transactions: [Transaction], direction: Direction, payload: RawSpan,
    packet: borrowing DecodedPacket, bytes: RawSpan, flow: FlowFacts, state: FlowDetection,
    into matches: inout MatchList
  ) {
  }

  /// Whether nothing of the transaction is left to be inspected.
  public static func isInspected(_ transaction: Transaction) -> Bool {
    transaction.inspectionState is InspectedTransaction
  }
}

/// Stands in `Transaction.inspectionState` for a transaction done with.
final class InspectedTransaction: Sendable {
  static let done = InspectedTransaction()
}

/// What detection remembers of a transaction until it is done.
final class TransactionInspection {
}
