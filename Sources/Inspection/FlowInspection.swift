import AppLayer
import Detection
import Traffic

/// What inspection keeps of one flow: its application layer, its detection state, and the tails of
/// its streams. Made with the first packet that needs it, dropped with the flow.
final class FlowInspection {
  let detection = FlowDetection()
  var appLayer: AppLayerFlow?
  var toServer = StreamWindow()
  var toClient = StreamWindow()
  /// Flow-wide oddities of the application layer that were told already.
  var reportedEventCount = 0
  var hasAlerted = false
  /// Addresses of the Ethernet frame that began the flow, from client to server.
  var frameEnds: FrameEnds?
  /// Transactions seen so far, those that are done with included.
  var transactionCount: UInt64 = 0
  /// A packet was dropped in this direction and logged.
  var isDropLogged: (toServer: Bool, toClient: Bool) = (false, false)
  var exceptionPolicies: [ExceptionPolicyUse] = []
  var hasGap: (toServer: Bool, toClient: Bool) = (false, false)
  /// The rest of the flow is dropped because of a policy, not of a rule.
  var isDroppedByPolicy = false
  /// The parser gave up and the policy for that was applied.
  var isErrorHandled = false
  /// The transaction that a match on packet or stream would be told with.
  var guessed: Transaction?
  /// A policy lets the flow go by without rules.
  var isExempt = false
  var decryption: DecryptionFacts?
  /// What was decided, and why.
  var journal = FlowJournal()
  /// Why the flow was given to the kernel, the last time where it was called back.
  var releaseReason: ReleaseReason?
  /// It was called back; the directions that were looked at since, by bit.
  var isRecalled = false
  var directionsSinceRecall: UInt8 = 0
  /// Policy has said what becomes of this QUIC connection.
  var isQUICDecided = false
  /// Datagrams of the client that came before that.
  var quicWaitCount = 0
  /// Release it with its next packet.
  var isReleaseWanted: ReleaseReason?
  /// What the kernel counted of the whole connection.
  var kernelCounts: KernelCounts?
  var linkAddresses = LinkAddresses()

  subscript(direction: Direction) -> StreamWindow {
    _read {
      if direction == .toServer { yield toServer } else { yield toClient }
    }
    _modify {
      if direction == .toServer { yield &toServer } else { yield &toClient }
    }
  }

  /// Takes the next bytes of a stream.
  ///
  /// - Parameters:
  ///   - isLive: a packet brought them, so that a hole before them is known to be one.
  ///   - keepsBytes: rules may look at the raw stream.
  func feed(_ chunk: borrowing StreamChunk, isLive: Bool = true, keepsBytes: Bool = true) {
    if chunk.gapBefore > 0, isLive {
      if chunk.direction == .toServer { hasGap.toServer = true } else { hasGap.toClient = true }
    }
    self[chunk.direction].append(chunk, keepsBytes: keepsBytes)
    if chunk.isRawOnly { return }
    appLayer?.consume(chunk)
  }

  /// Takes a whole datagram.
  func feedDatagram(_ chunk: borrowing StreamChunk) {
    self[chunk.direction].hasNews = true
    appLayer?.consumeDatagram(chunk)
  }
}

/// The tail of one direction of a stream that rules on the raw stream look at.
struct StreamWindow {
  /// Octets that stay after inspection, so that matches may reach over chunks.
  static let tailBytes = 2048
  /// Memory that a window may keep for what comes next. The room for a super-segment of 64 kB is given back: each
  /// connection that is open would hold it.
  static let capacityKeptBytes = 16_384

  private(set) var bytes: [UInt8] = []
  /// What was there before a hole, and how wide that was, in words: for records that show what was seen.
  private(set) var beforeGap: [UInt8] = []
  /// Where the bytes not yet inspected begin.
  private(set) var newFrom = 0
  /// Where `bytes` begins in the stream.
  private(set) var offset: UInt64 = 0
  private(set) var isEnd = false
  /// Something came since the last inspection, if only the end.
  var hasNews = false

  /// What has come but waits for its acknowledgement, where a record is to show it.
  var waiting: [UInt8] = []

  /// The bytes as records show them.
  var shown: [UInt8] { beforeGap.isEmpty && waiting.isEmpty ? bytes : beforeGap + bytes + waiting }

  /// Octets of the stream seen so far.
  var streamEnd: UInt64 { offset &+ UInt64(bytes.count) }

  mutating func append(_ chunk: borrowing StreamChunk, keepsBytes: Bool = true) {
    hasNews = true
    if chunk.isEnd { isEnd = true }
    if chunk.gapBefore > 0 {
      beforeGap = Array((beforeGap + bytes).suffix(Self.tailBytes)) + Array("[\(chunk.gapBefore) bytes missing]".utf8)
      // What follows a gap is not the continuation of what was before.
      bytes.removeAll(keepingCapacity: true)
      newFrom = 0
      offset = chunk.offset
    }
    if keepsBytes { return bytes.append(chunk.bytes) }
    offset = streamEnd &+ UInt64(chunk.bytes.byteCount)
    newFrom = 0
    if !bytes.isEmpty { bytes = [] }
    if !beforeGap.isEmpty { beforeGap = [] }
  }

  mutating func markInspected() {
    let surplus = bytes.count > 2 * Self.tailBytes ? bytes.count - Self.tailBytes : 0
    if surplus > 0 {
      beforeGap = []
      offset &+= UInt64(surplus)
    }
    if bytes.capacity > Self.capacityKeptBytes {
      bytes = Array(bytes[surplus...])
    } else if surplus > 0 {
      bytes.removeFirst(surplus)
    }
    newFrom = bytes.count
  }
}
