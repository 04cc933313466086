import AppLayer
import Glibc
import Traffic

/// Everything that rules and records can ask of a transaction, to be compared with another reading of the same bytes.
struct TransactionView: Equatable {
  /// Whatever has a value.
  enum Asked: Equatable {
    case buffer(BufferID)
    case number(NumberID)
    case file(TransferFile.State, hasGap: Bool)
  }

  struct Part: Equatable {
    var asked: Asked
    var direction: Direction
    var index: Int
    var isComplete = true
    var offset: UInt64 = 0
    var value: UInt64 = 0
    var bytes: [UInt8] = []
  }

  var progress: [Int]
  var events: Set<AppEvent>
  var parts: [Part] = []

  init(_ transaction: Transaction) {
    progress = [transaction.progress.toServer, transaction.progress.toClient]
    events = Set(transaction.events)
    for direction in Direction.allCases {
      for id in BufferID.allCases {
        var index = 0
        while index < 64, let view = transaction.buffer(id, direction, index: index) {
          precondition(view.range.lowerBound >= 0 && view.range.upperBound <= view.storage.count)
          parts.append(
            Part(
              asked: .buffer(id), direction: direction, index: index, isComplete: view.isComplete, offset: view.offset,
              bytes: Array(view.storage[view.range])))
          index += 1
        }
      }
      for id in NumberID.allCases {
        var index = 0
        while index < 64, let number = transaction.number(id, direction, index: index) {
          parts.append(Part(asked: .number(id), direction: direction, index: index, value: number))
          index += 1
        }
      }
      for (index, file) in transaction.files(direction).enumerated() {
        parts.append(
          Part(
            asked: .file(file.state, hasGap: file.hasGap), direction: direction, index: index, value: file.sizeBytes,
            bytes: file.name + (file.md5 ?? [])))
      }
    }
  }

  /// The first thing that is not the same, in words.
  static func difference(_ left: TransactionView, _ right: TransactionView) -> String {
    if left.progress != right.progress { return "progress \(left.progress) / \(right.progress)" }
    if left.events != right.events {
      return "events \(left.events.map(\.name).sorted()) / \(right.events.map(\.name).sorted())"
    }
    let pair = zip(left.parts, right.parts).first { $0 != $1 }
    return pair.map { "\($0.0) / \($0.1)" } ?? "\(left.parts.count) parts / \(right.parts.count)"
  }
}

extension Transaction {
  /// Asks for everything, without keeping it.
  func ask() {
    for direction in Direction.allCases {
      for id in BufferID.allCases {
        var index = 0
        while index < 64, let view = buffer(id, direction, index: index) {
          precondition(view.range.lowerBound >= 0 && view.range.upperBound <= view.storage.count)
          index += 1
        }
      }
      for id in NumberID.allCases { _ = number(id, direction, index: 0) }
    }
  }
}

extension Conversation {
  /// However it is cut, the same transactions come out.
  ///
  /// - Parameters:
  ///   - isComparable: otherwise the bytes are only read as they come.
  ///   - make: the parser anew.
  func checkCuts(_ isComparable: Bool = true, _ make: () -> AppLayerParser) {
    let whole = views(make())
    guard isComparable, pieces.reduce(0, { $0 + $1.bytes.count }) < 4096 else { return }
    let cut = cut.views(make())
    if whole.count != cut.count { violated("\(whole.count) transactions whole, \(cut.count) cut") }
    for (left, right) in zip(whole, cut) where left != right {
      violated("whole and cut differ: \(TransactionView.difference(left, right))")
    }
  }

  private func views(_ parser: AppLayerParser) -> [TransactionView] {
    forEachChunk { parser.consume($0) }
    parser.finish(at: Self.time)
    return parser.transactions.map { TransactionView($0) }
  }
}

/// An invariant does not hold. Release builds leave out what a `precondition` says, hence this.
public func violated(_ what: String) -> Never {
  print("violated: \(what)")
  fflush(nil)
  preconditionFailure(what)
}
