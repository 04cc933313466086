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
  /// Directions in which the parser gave up and the policy for that was applied.
  var errorsHandled: (toServer: Bool, toClient: Bool) = (false, false)
  /// The transaction that a match on packet or stream would be told with.
  var guessed: Transaction?
  /// A policy lets the flow go by without rules.
  var isExempt = false
  var decryption: DecryptionFacts?
  /// Something came since records were last looked for: bytes, an inspection, a decision.
  var mayHaveRecords = true
  /// Something came since it was looked whether the parser has given up.
  var mayHaveFailed = false
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
  /// Where flows are watched for their rate.
  var rate = FlowRate()
  /// The worker's, for large chunks.
  let spare: SpareRoom?

  init(spare: SpareRoom? = nil) { self.spare = spare }

  /// Something came in that direction since it was looked at. Asked for each packet: a part of an object that is yielded
  /// by an accessor takes an allocation.
  @inline(__always)
  func hasNews(_ direction: Direction) -> Bool { direction == .toServer ? toServer.hasNews : toClient.hasNews }

  subscript(direction: Direction) -> StreamWindow {
    @inline(__always) _read {
      if direction == .toServer { yield toServer } else { yield toClient }
    }
    @inline(__always) _modify {
      if direction == .toServer { yield &toServer } else { yield &toClient }
    }
  }

  /// What comes is ciphertext, and rules are not tried on that (`encryption-handling`); as long as the parser says so.
  var hidesPayload = false
  /// One side has said that it is done, and it was heard: nothing is waited for any more.
  var isClosing = false

  /// Takes the next bytes of a stream.
  ///
  /// - Parameters:
  ///   - isLive: a packet brought them, so that a hole before them is known to be one.
  ///   - keepsBytes: rules may look at the raw stream.
  func feed(_ chunk: borrowing StreamChunk, isLive: Bool = true, keepsBytes: Bool = true) {
    if chunk.gapBefore > 0, isLive {
      if chunk.direction == .toServer { hasGap.toServer = true } else { hasGap.toClient = true }
    }
    // The parser comes first: with these very bytes it may find that what seemed to be ciphertext is none.
    let appLayer = self.appLayer
    if let appLayer, !chunk.isRawOnly {
      appLayer.consume(chunk)
      if hidesPayload, appLayer.hasOnlyPassed {
        let count = UInt64(chunk.bytes.byteCount)
        if chunk.direction == .toServer { toServer.pass(count) } else { toClient.pass(count) }
        return
      }
    }
    mayHaveRecords = true
    mayHaveFailed = true
    if hidesPayload, appLayer?.hidesPayload != true { hidesPayload = false }
    let keepsBytes = keepsBytes && !hidesPayload
    if chunk.direction == .toServer {
      toServer.append(chunk, keepsBytes: keepsBytes, spare: spare)
    } else {
      toClient.append(chunk, keepsBytes: keepsBytes, spare: spare)
    }
  }

  /// Lets go of what is kept of both streams; for flows of which nothing is inspected any more.
  func forgetStreams() {
    toServer = StreamWindow()
    toClient = StreamWindow()
  }

  /// Takes a whole datagram.
  func feedDatagram(_ chunk: borrowing StreamChunk) {
    mayHaveRecords = true
    mayHaveFailed = true
    if chunk.direction == .toServer { toServer.hasNews = true } else { toClient.hasNews = true }
    appLayer?.consumeDatagram(chunk)
  }
}
