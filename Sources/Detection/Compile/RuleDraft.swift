import AppLayer
import RuleLanguage
import Traffic

/// A rule while its keywords are being read. One reader has it, then the compiler, so it is passed on and never
/// copied: a copy would touch the counts of all that it refers to.
final class RuleDraft {
  var head = RuleHead()
  var info: RuleInfo
  var conditions: [RuleCondition] = []
  var payload: PayloadProgram?
  var payloadScope: PayloadScope = []
  var buffers: [BufferStep] = []
  var transactionConditions: [TransactionCondition] = []
  /// All of one file of the transaction.
  var fileConditions: [FileCondition] = []
  /// The way that the file goes, where a rule over both directions names it.
  var fileSide: Direction?
  var fileStore: FileStoreAction?
  var actions: [StateAction] = []
  var tags: [TagAction] = []
  var frame: FrameKind?
  var threshold: RuleThreshold?
  var isSilent = false
  var isTransactional = false
  var actsOnFlow = false
  /// How far its action reaches, where its header says so (`drop:packet`).
  var actionScope: RuleActionScope?
  var sharesVariables = false
  var kind = RuleKind.packet
  /// The state of transactions that it waits for, where it names one.
  var hook: TransactionHook?
  /// The transactions that it is tried on.
  var transactionPlaces: [TransactionPlace] = []
  /// What it is found by, once that is chosen.
  var literals = ChosenLiterals()
  /// Explicit `priority` beats that of the class.
  var hasPriority = false
  var usesFlowBits: VariableUse = []
  var usesFlowIntegers: VariableUse = []
  var usesHostBits: VariableUse = []
  var usesPairBits: VariableUse = []

  init(info: RuleInfo) { self.info = info }
}

/// What a rule does with variables of one kind; setters are tried before readers.
struct VariableUse: OptionSet {
  let rawValue: UInt8
  static let reads = VariableUse(rawValue: 1)
  static let writes = VariableUse(rawValue: 2)

  /// Higher is tried earlier.
  var rank: Int {
    switch (contains(.reads), contains(.writes)) {
    case (false, true): 3
    case (true, true): 2
    case (true, false): 1
    case (false, false): 0
    }
  }
}

/// When a rule is tried.
enum RuleKind: UInt8, Sendable {
  /// Addresses only: once for each direction of a flow.
  case addressOnly
  /// Each packet.
  case packet
  /// Packet payloads, streams, or both, by its scope.
  case payload
  /// Transactions.
  case transaction
  /// Once for each direction of a flow, when its application protocol is known.
  case protocolFound
  /// Packets with decode, stream or flow events.
  case event
  /// Frames of application protocols.
  case frame
}

extension RuleDraft {
  /// Octets that the payload of a packet has at most where the rule holds (`dsize`).
  var payloadReach: UInt32 {
    let bounds = payloadBounds
    return bounds.upperBound == .max ? .max : UInt32(bounds.upperBound)
  }

  /// Between which sizes it lies.
  var payloadBounds: ClosedRange<UInt16> {
    var (low, high) = (UInt64(0), UInt64(UInt16.max))
    for case .packet(.payloadSize(let condition)) in conditions {
      switch condition {
      case .equal(let count): (low, high) = (max(low, count), min(high, count))
      case .lessOrEqual(let count): high = min(high, count)
      case .less(let count): high = min(high, count > 0 ? count &- 1 : 0)
      case .greaterOrEqual(let count): low = max(low, count)
      case .greater(let count): low = max(low, count == .max ? count : count &+ 1)
      case .between(let from, let to):
        (low, high) = (max(low, from == .max ? from : from &+ 1), min(high, to > 0 ? to &- 1 : 0))
      case .notEqual, .notBetween, .bits, .notBits: continue
      }
    }
    let first = UInt16(clamping: low)
    return first...max(first, UInt16(clamping: high))
  }
}
