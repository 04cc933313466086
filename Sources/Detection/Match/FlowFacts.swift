import AppLayer
import Traffic

/// What detection needs to know of the flow of a packet or chunk; filled by the path for each call.
public struct FlowFacts: Sendable {
  /// A count for each direction.
  public struct Counts: Sendable, BitwiseCopyable {
    public var toServer: UInt64
    public var toClient: UInt64

    @inlinable
    public init(toServer: UInt64 = 0, toClient: UInt64 = 0) {
      self.toServer = toServer
      self.toClient = toClient
    }

    @inlinable
    public subscript(direction: Direction) -> UInt64 {
      direction == .toServer ? toServer : toClient
    }
  }

  /// Number of the flow, for `by_flow` thresholds.
  public var id: UInt64 = 0
  /// Which way the packet that was handed in travels.
  public var packetDirection = Direction.toServer
  /// TCP: the handshake was seen (or the flow picked up midstream); others: both ends have spoken.
  public var isEstablished = false
  public var isMidstream = false
  public var appProtocol = AppProtocol.unknown
  /// By what each side sent, and what the flow was before it changed.
  public var appProtocolToServer = AppProtocol.unknown
  public var appProtocolToClient = AppProtocol.unknown
  public var originalProtocol = AppProtocol.unknown
  public var packets = Counts()
  /// Octets of packets with all headers.
  public var bytes = Counts()
  /// Octets of TCP stream seen so far (`stream_size`).
  public var streamBytes = Counts()
  public var start = Timestamp(nanoseconds: 0)
  /// Directions that carry, or have carried, as much as makes an elephant (`flow.rate-tracking`).
  public var isElephant: (toServer: Bool, toClient: Bool) = (false, false)
  /// What recognition found odd about the flow as a whole since the last call.
  public var appLayerEvents = FlowAppLayerEvents()

  @inlinable
  public init() {}
}

/// `app-layer-event:applayer_…`: what protocol recognition found odd about a flow.
public struct FlowAppLayerEvents: OptionSet, Sendable, BitwiseCopyable {
  public let rawValue: UInt8
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let mismatchProtocolBothDirections = FlowAppLayerEvents(rawValue: 1)
  public static let wrongDirectionFirstData = FlowAppLayerEvents(rawValue: 2)
  public static let detectProtocolOnlyOneDirection = FlowAppLayerEvents(rawValue: 4)
  public static let protocolDetectionSkipped = FlowAppLayerEvents(rawValue: 8)
  public static let noTLSAfterSTARTTLS = FlowAppLayerEvents(rawValue: 16)
  public static let unexpectedProtocol = FlowAppLayerEvents(rawValue: 32)

  /// Of the events that a flow's application layer gives, those that rules can name.
  public init(_ events: [AppEvent]) {
    self = events.reduce(into: []) { set, event in
      if let known = Self.byName[event.name] { set.formUnion(known) }
    }
  }

  static let byName: [String: FlowAppLayerEvents] = [
    "applayer_mismatch_protocol_both_directions": .mismatchProtocolBothDirections,
    "applayer_wrong_direction_first_data": .wrongDirectionFirstData,
    "applayer_detect_protocol_only_one_direction": .detectProtocolOnlyOneDirection,
    "applayer_proto_detection_skipped": .protocolDetectionSkipped,
    "applayer_no_tls_after_starttls": .noTLSAfterSTARTTLS,
    "applayer_unexpected_protocol": .unexpectedProtocol,
  ]
}
