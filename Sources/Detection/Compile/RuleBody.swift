import AppLayer
import RuleLanguage
import Traffic

/// What of a rule is looked at only once its head holds. Immutable, shared.
final class RuleBody: Sendable {
  let conditions: [RuleCondition]
  /// Steps over the packet's payload or the stream; nil when the rule has none.
  let payload: SharedProgram?
  let payloadScope: PayloadScope
  let buffers: [SharedStep]
  let transactionConditions: [TransactionCondition]
  let actions: [StateAction]
  let tags: [TagAction]
  /// The frames that it looks at, of a rule on frames.
  let frame: FrameKind?
  let threshold: RuleThreshold?
  /// Matches and acts, but is not logged (`noalert`, `flowbits:noalert`).
  let isSilent: Bool
  /// Steps that run for a `=>` rule on both directions.
  let isTransactional: Bool
  /// Once for a transaction, not once for each direction of it.
  let firesOnce: Bool
  /// Of a rule that asks for nothing but a state: its progress. It matches with each inspection that finds
  /// the transaction there, or that finds it has come past since the last one.
  let hookedProgress: Int?
  /// A buffer's steps use numbers that another's have read: all run together.
  let sharesVariables: Bool
  /// A drop or pass reaches the whole flow even when only a packet matched.
  let actsOnFlow: Bool
  /// How far its action reaches whatever matched, where the rule says so.
  let actionScope: RuleActionScope?
  let fileConditions: [FileCondition]
  let fileStore: FileStoreAction?
  /// The rest of the flow goes by unseen (`bypass`).
  let bypasses: Bool
  /// What becomes of the packet's mark (`nfq_set_mark`).
  let mark: MarkChange?
  /// What may decide a rule on transactions besides the transaction.
  let waits: InspectionWaits

  init(draft: RuleDraft, _ reaches: inout SharedStep.Reaches) {
    // Copied, since the draft is from a thread whose memory is given back as a whole.
    conditions = draft.conditions.copied()
    payload = draft.payload.map { SharedProgram($0.copied()) }
    payloadScope = draft.payloadScope
    buffers = draft.buffers.map { SharedStep($0, &reaches) }
    transactionConditions = draft.transactionConditions.copied()
    actions = draft.actions.copied()
    tags = draft.tags.copied()
    frame = draft.frame
    threshold = draft.threshold
    isSilent = draft.isSilent
    isTransactional = draft.isTransactional
    let isHookAlone = draft.buffers.isEmpty && draft.transactionConditions.count == 1
    hookedProgress = isHookAlone ? draft.hook?.progress : nil
    // Source: Suricata: an event of HTTP is told with each direction that a rule doesn't exclude.
    let isOnEvent =
      !draft.isTransactional
      && draft.transactionConditions.contains {
        if case .event(let event) = $0 { event.appProtocol == .http } else { false }
      }
    // Each direction has files of its own.
    firesOnce =
      (draft.isTransactional || draft.buffers.isEmpty && draft.fileConditions.isEmpty)
      && hookedProgress == nil && !isOnEvent
      && !draft.transactionConditions.contains(where: \.isToldBothWays)
    fileConditions = draft.fileConditions.copied()
    fileStore = draft.fileStore
    sharesVariables = draft.sharesVariables
    actsOnFlow = draft.actsOnFlow
    actionScope = draft.actionScope
    bypasses = draft.actions.contains { if case .bypass = $0 { true } else { false } }
    var waits: InspectionWaits = draft.conditions.isEmpty && hookedProgress == nil ? [] : .packets
    for step in draft.buffers {
      switch step.subject {
      case .packetHeader: waits.insert(.packets)
      case .payload: waits.insert(.payload)
      case .buffer, .frame: break
      }
    }
    self.waits = waits
    mark = draft.actions.lazy.compactMap { if case .mark(let change) = $0 { change } else { nil } }.first
  }
}

enum RuleCondition: Sendable {
  case packet(PacketCondition)
  case state(StateCondition)
}

/// Where the steps over the payload look.
struct PayloadScope: OptionSet, Sendable {
  let rawValue: UInt8
  /// The payload of each packet.
  static let packet = PayloadScope(rawValue: 1)
  /// The reassembled stream, and payloads that are not part of one.
  static let stream = PayloadScope(rawValue: 2)
}

/// The steps of a rule over one sticky buffer, or over a header of the packet, while the rule is compiled.
final class BufferStep {
  enum Subject: Sendable, Hashable {
    case buffer(BufferID)
    case packetHeader(PacketHeader)
    case frame(FrameKind)
    /// The raw stream or datagram beside sticky buffers, in a rule on transactions.
    case payload
  }

  var subject: Subject
  var program: PayloadProgram
  /// Where the buffer comes from, and from which progress on it may be tried.
  var sources: [BufferDeclaration.Source] = [] {
    didSet {
      protocols = (0, 0)
      for source in sources {
        if source.direction == .toServer { protocols.0 |= Self.bit(source.appProtocol) } else { protocols.1 |= Self.bit(source.appProtocol) }
      }
    }
  }
  /// A bit for each protocol that has the buffer, to servers and to clients.
  private(set) var protocols: (UInt64, UInt64) = (0, 0)
  var isMultiple = false
  var isStreaming = false
  /// While the buffer grows its steps cannot tell yet.
  var dependsOnEnd = false

  init(subject: Subject, program: PayloadProgram) {
    self.subject = subject
    self.program = program
  }

  static func bit(_ appProtocol: AppProtocol) -> UInt64 { 1 << UInt64(appProtocol.rawValue & 63) }

  func exists(_ appProtocol: AppProtocol, _ direction: Direction) -> Bool {
    (direction == .toServer ? protocols.0 : protocols.1) & Self.bit(appProtocol) != 0
  }

  /// The first and the last progress at which the buffer may hold something new; nil where there is
  /// no such buffer.
  func progress(_ appProtocol: AppProtocol, _ direction: Direction) -> (first: Int, last: Int)? {
    var result: (first: Int, last: Int)?
    for source in sources where source.appProtocol == appProtocol && source.direction == direction {
      let known = result ?? (source.progress, source.progress)
      result = (min(known.first, source.progress), max(known.last, source.progress))
    }
    return result
  }
}

/// A header of the packet as a buffer (`tcp.hdr`).
///
/// - Source: Suricata "Header Keywords", "IP Addresses Match".
enum PacketHeader: UInt8, Sendable, Hashable {
  case ipv4, ipv6, tcp, udp, icmpv4, icmpv6
  /// Four octets or sixteen.
  case sourceAddress, destinationAddress
}

/// The steps over a payload as matching has them: looked at in place, where a structure would be copied
/// with each of its arrays.
final class SharedProgram: Sendable {
  let program: PayloadProgram

  init(_ program: PayloadProgram) { self.program = program }
}

/// A ``BufferStep`` as matching has it, for the same reason.
final class SharedStep: Sendable {
  let subject: BufferStep.Subject
  let program: PayloadProgram
  let isMultiple: Bool
  let isStreaming: Bool
  let dependsOnEnd: Bool
  private let reaches: [Reach]

  /// The first and the last progress at which the buffer may hold something new.
  struct Reach: Sendable {
    var appProtocol: AppProtocol
    var direction: Direction
    var first: Int
    var last: Int
  }

  /// Where buffers reach, made once for all rules that look into the same one.
  struct Reaches {
    fileprivate struct Key: Hashable {
      var subject: BufferStep.Subject
      /// Of a rule over both directions that has named a side, fewer than the buffer has.
      var sourceCount: Int
      var direction: Direction?
    }
    fileprivate var known: [Key: [Reach]] = [:]
  }

  init(_ step: BufferStep, _ reaches: inout Reaches) {
    subject = step.subject
    program = step.program.copied()
    isMultiple = step.isMultiple
    isStreaming = step.isStreaming
    dependsOnEnd = step.dependsOnEnd
    let key = Reaches.Key(
      subject: step.subject, sourceCount: step.sources.count, direction: step.sources.first?.direction)
    self.reaches = reaches.known[key] ?? Self.reaches(of: step)
    if reaches.known[key] == nil { reaches.known[key] = self.reaches }
  }

  private static func reaches(of step: BufferStep) -> [Reach] {
    var reaches: [Reach] = []
    for source in step.sources {
      guard let reach = step.progress(source.appProtocol, source.direction),
        !reaches.contains(where: { $0.appProtocol == source.appProtocol && $0.direction == source.direction })
      else { continue }
      reaches.append(
        Reach(appProtocol: source.appProtocol, direction: source.direction, first: reach.first, last: reach.last))
    }
    return reaches
  }

  /// nil where there is no such buffer.
  func reach(_ appProtocol: AppProtocol, _ direction: Direction) -> Reach? {
    for reach in reaches where reach.appProtocol == appProtocol && reach.direction == direction { return reach }
    return nil
  }
}

/// A condition on a transaction that is no buffer.
enum TransactionCondition: Sendable {
  /// At least one of the numbers of that name is so.
  case number(NumberID, NumericCondition)
  /// At least one of the numbers is (none is, when negated) one of these.
  case numberIn(NumberID, [UInt64], isNegated: Bool)
  /// One of the numbers has this key in its upper 32 bits, and its lower 32 bits are so.
  case keyedNumber(NumberID, key: UInt64, NumericCondition?)
  case event(AppEvent)
  case progress(Direction, Int, isNegated: Bool)
  /// One of these has been reached, or has not where it is negated.
  case anyProgress([(side: Direction, progress: Int, isNegated: Bool)])
  /// There is a file of which all of these hold, in a rule over both directions going this way.
  case files([FileCondition], Direction?)
  /// Whether the certificate of the server is good at the time of the packet.
  case certificateValidity(isValid: Bool)
}

extension TransactionCondition {
  /// It is about an exchange as a whole, and a rule that names no direction is told once for each, as in Suricata.
  var isToldBothWays: Bool {
    guard case .number(let id, _) = self else { return false }
    return id == .ftpMode || id == .ftpDynamicPort || id == .ftpReplyReceived
  }
}

/// `threshold` and `detection_filter` of a rule, or what the threshold file lays over it.
struct RuleThreshold: Sendable, Hashable {
  enum Kind: Sendable, Hashable {
    case limit, threshold, both, backoff, detectionFilter
  }
  var kind: Kind
  var track: ThresholdFile.Track
  var count: UInt32
  var seconds: UInt32
  var multiplier: UInt32 = 1
}
