import AppLayer
import Detection
import Inspection
import Traffic

/// What detection needs of a flow in hand: its application, its state, and the tails of its streams.
final class ScanFlow {
  let flow: Preparation.Flow
  let appLayer: AppLayerFlow
  let state = FlowDetection()
  var toServer = Tail()
  var toClient = Tail()
  /// What comes is ciphertext, which rules are not tried on.
  var hidesPayload = false
  private var reportedEventCount = 0

  /// One direction of a stream: octets that were inspected, as many as matches may reach back over, then the new ones.
  struct Tail {
    /// As `StreamWindow` of the path keeps them.
    static let keptOctets = 2048
    private(set) var octets: [UInt8] = []
    private(set) var newFrom = 0
    private(set) var offset: UInt64 = 0
    private(set) var isEnd = false
    var hasNews = false

    mutating func append(_ chunk: borrowing StreamChunk, isHidden: Bool) {
      hasNews = true
      if chunk.isEnd { isEnd = true }
      if isHidden || chunk.gapBefore > 0 || offset &+ UInt64(octets.count) != chunk.offset {
        octets.removeAll(keepingCapacity: true)
        (newFrom, offset) = (0, chunk.offset)
      }
      if !isHidden { octets.append(chunk.bytes) }
    }

    mutating func markInspected() {
      hasNews = false
      if octets.count > 2 * Self.keptOctets {
        offset &+= UInt64(octets.count - Self.keptOctets)
        octets.removeFirst(octets.count - Self.keptOctets)
      }
      newFrom = octets.count
    }
  }

  init(_ flow: Preparation.Flow, _ settings: AppLayerSettings, _ files: FileExaminer, marksFrames: Bool) {
    self.flow = flow
    appLayer = AppLayerFlow(
      settings: settings, transport: flow.isTCP ? .tcp : .udp, serverPort: flow.tuple.destinationPort,
      clientPort: flow.tuple.sourcePort, isMidstream: flow.isMidstream, files: files)
    appLayer.marksFrames = marksFrames
  }

  subscript(direction: Direction) -> Tail {
    _read { if direction == .toServer { yield toServer } else { yield toClient } }
    _modify { if direction == .toServer { yield &toServer } else { yield &toClient } }
  }

  func feed(_ piece: Preparation.Piece, _ octets: RawSpan) {
    let chunk = piece.chunk(octets)
    guard flow.isTCP else {
      self[piece.direction].hasNews = true
      appLayer.consumeDatagram(chunk)
      return
    }
    if !piece.isRawOnly { appLayer.consume(chunk) }
    if hidesPayload, !appLayer.hidesPayload { hidesPayload = false }
    self[piece.direction].append(chunk, isHidden: hidesPayload)
  }

  /// What is known of the flow with this packet.
  func facts(_ tracked: FlowFacts) -> FlowFacts {
    var facts = tracked
    facts.appProtocol = appLayer.appProtocol
    facts.appProtocolToServer = appLayer.protocolToServer
    facts.appProtocolToClient = appLayer.protocolToClient
    facts.originalProtocol = appLayer.originalProtocol
    if appLayer.events.count > reportedEventCount {
      facts.appLayerEvents = FlowAppLayerEvents(Array(appLayer.events[reportedEventCount...]))
      reportedEventCount = appLayer.events.count
    }
    facts.streamBytes = .init(
      toServer: toServer.offset &+ UInt64(toServer.octets.count), toClient: toClient.offset &+ UInt64(toClient.octets.count))
    return facts
  }

  /// - Parameter isScanned: rules have been tried.
  func removeTransactions(isScanned: Bool) {
    appLayer.removeTransactions { $0.isComplete && (!isScanned || Detector.isInspected($0)) }
  }
}
