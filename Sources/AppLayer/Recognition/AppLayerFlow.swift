import Traffic

/// The application layer of one flow: finds out the protocol by content, then feeds its parser.
public final class AppLayerFlow {
  public enum Transport: UInt8, Sendable {
    case tcp, udp
  }

  let settings: AppLayerSettings
  let transport: Transport
  let serverPort: UInt16
  let clientPort: UInt16
  /// By what the client sent, and by what the server sent.
  public private(set) var protocolToServer = AppProtocol.unknown
  public private(set) var protocolToClient = AppProtocol.unknown
  /// What the flow is taken for.
  public private(set) var appProtocol = AppProtocol.unknown
  public private(set) var parser: AppLayerParser?
  /// Oddities of the flow as a whole (`app-layer-event:applayer_…`).
  public private(set) var events: [AppEvent] = []
  /// The side that was taken for the client speaks as a server: a midstream pick-up saw them swapped.
  public private(set) var isReversed = false
  /// The protocol is known, or never will be.
  public private(set) var isDecided = false
  /// Nothing more is looked into.
  public private(set) var isFailed = false

  /// - Parameters:
  ///   - serverPort: only a hint; recognition goes by content.
  ///   - clientPort: only a hint, for flows picked up midstream.
  public init(
    settings: AppLayerSettings, transport: Transport, serverPort: UInt16, clientPort: UInt16
  ) {
    self.settings = settings
    self.transport = transport
    self.serverPort = serverPort
    self.clientPort = clientPort
  }

  public var transactions: [Transaction] { parser?.transactions ?? [] }

  /// The next piece of a TCP stream, in order within its direction.
  public func consume(_ chunk: borrowing StreamChunk) {}

  /// A whole UDP datagram.
  public func consumeDatagram(_ chunk: borrowing StreamChunk) {}

  /// Both directions are over.
  public func finish(at time: Timestamp) {
    parser?.finish(at: time)
  }
}
