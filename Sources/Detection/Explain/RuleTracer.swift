import AppLayer
import Synchronization
import Traffic

/// Watches how one rule fares on traffic; `sluice eval --explain` reads it when the traffic is over.
///
/// A side door of the detector: what it finds out changes no match, and without it nothing runs.
/// - Limits: keeps `entriesMax` flows, transactions and packets; further ones are counted.
public final class RuleTracer: Sendable {
  /// Where the rule was looked for.
  public enum Scope: Sendable, Hashable {
    case packet, stream
    /// By the transaction's number within its flow.
    case transaction(UInt64)
  }

  /// How far the rule came in one direction of a flow, transaction, or on a packet without a flow.
  public struct Entry: Sendable {
    /// nil for a packet without a flow.
    public var flowID: UInt64?
    public var source: IPAddress
    public var destination: IPAddress
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var ipProtocol: UInt8
    public var direction: Direction
    public var scope: Scope
    public var firstPacket: UInt64
    public var lastPacket: UInt64
    /// How often it was looked at.
    public var tries: UInt64 = 1
    public var result: Result
  }

  /// What one look at the rule's steps came to.
  public struct Result: Sendable {
    /// The steps that held, in order.
    public var held: [String] = []
    /// The step that did not; nil for a match.
    public var failure: Failure?

    public var isMatch: Bool { failure == nil }
  }

  public struct Failure: Sendable {
    /// The buffer it looks into; nil for a condition.
    public var buffer: String?
    public var step: String
    public var reason: String
    /// Octets from the start of the buffer from which the step looked; nil for a condition.
    public var offset: Int?
    /// Octets that the buffer had.
    public var bufferBytes: Int?
    /// The beginning of the buffer.
    public var excerpt: [UInt8] = []

    init(_ step: String, _ reason: String, buffer: String? = nil) {
      self.step = step
      self.reason = reason
      self.buffer = buffer
    }
  }

  /// A flow in which the rule was never looked for.
  public struct Miss: Sendable {
    public var flowID: UInt64
    public var source: IPAddress
    public var destination: IPAddress
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var direction: Direction
    public var firstPacket: UInt64
    public var reason: String
  }

  public struct Report: Sendable {
    /// In the order of their first packets.
    public var entries: [Entry] = []
    /// Flows whose headers did not fit, or that had no transaction to look at.
    public var misses: [Miss] = []
    /// Entries beyond the limit.
    public var omitted: UInt64 = 0
  }

  struct Key: Hashable {
    var flowID: UInt64?
    var direction: Direction
    var scope: Scope
    /// For packets without a flow.
    var packet: UInt64
  }

  struct State {
    var packetNumber: UInt64 = 0
    var numbers: [Key: Int] = [:]
    var entries: [Entry] = []
    var misses: [UInt64: Miss] = [:]
    /// Buffer steps of a transaction that held before.
    var held: [Key: UInt64] = [:]
    var omitted: UInt64 = 0
  }

  public static let entriesMax = 10_000
  public let explanation: RuleExplanation
  let rule: RuleIndex
  let state = Mutex(State())

  /// - Returns: nil where the set has no such rule.
  public init?(_ explanation: RuleExplanation, in ruleSet: RuleSet) {
    let wanted = ruleSet.rules(sid: explanation.sid).first { ruleSet.info($0)?.gid == explanation.gid }
    guard let wanted else { return nil }
    self.explanation = explanation
    rule = wanted
  }

  /// The packet that what follows is about, from 1.
  public func begin(packet number: UInt64) { state.withLock { $0.packetNumber = number } }

  /// What was seen so far.
  public var report: Report {
    state.withLock { state in
      let seen = Set(state.entries.compactMap(\.flowID))
      return Report(
        entries: state.entries.sorted { $0.firstPacket < $1.firstPacket },
        misses: state.misses.values.filter { !seen.contains($0.flowID) }.sorted { $0.firstPacket < $1.firstPacket },
        omitted: state.omitted)
    }
  }

  // MARK: Noting

  func note(_ result: Result, _ scope: Scope, _ ends: PacketEnds, _ ipProtocol: UInt8, flowID: UInt64?) {
    state.withLock { state in
      let key = Key(
        flowID: flowID, direction: ends.direction, scope: scope,
        packet: flowID == nil ? state.packetNumber : 0)
      guard let index = state.numbers[key] else {
        guard state.entries.count < Self.entriesMax else {
          state.omitted &+= 1
          return
        }
        state.numbers[key] = state.entries.count
        state.entries.append(
          Entry(
            flowID: key.flowID, source: ends.source, destination: ends.destination,
            sourcePort: ends.sourcePort, destinationPort: ends.destinationPort, ipProtocol: ipProtocol,
            direction: ends.direction, scope: scope, firstPacket: state.packetNumber,
            lastPacket: state.packetNumber, result: result))
        return
      }
      state.entries[index].lastPacket = state.packetNumber
      state.entries[index].tries &+= 1
      // What came furthest says most; of two alike the later one, which saw more.
      let known = state.entries[index].result
      if !known.isMatch, result.isMatch || result.held.count >= known.held.count {
        state.entries[index].result = result
      }
    }
  }

  func noteMiss(_ reason: String, _ ends: PacketEnds, flowID: UInt64) {
    state.withLock { state in
      let known = state.misses[flowID]
      // The first direction stays; in it the last reason says most, for protocols become known late.
      if let known, known.direction != ends.direction { return }
      guard known != nil || state.misses.count < Self.entriesMax else {
        state.omitted &+= 1
        return
      }
      state.misses[flowID] = Miss(
        flowID: flowID, source: ends.source, destination: ends.destination, sourcePort: ends.sourcePort,
        destinationPort: ends.destinationPort, direction: ends.direction,
        firstPacket: known?.firstPacket ?? state.packetNumber, reason: reason)
    }
  }

  /// Takes up which buffer steps of a transaction have held, and gives back what to remember.
  func withHeld(_ key: Key, _ body: (inout UInt64) -> Void) {
    var held = state.withLock { $0.held[key] ?? 0 }
    body(&held)
    state.withLock { $0.held[key] = held }
  }
}
