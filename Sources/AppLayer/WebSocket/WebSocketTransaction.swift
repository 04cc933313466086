import Traffic

/// One frame, unmasked and decompressed. A frame that goes on with a message begins with what the
/// message has brought so far, so that rules see it whole.
///
/// - Source: RFC 6455 section 5.2; Suricata 8 "WebSocket Keywords".
public final class WebSocketTransaction: Transaction {
  public enum Opcode: UInt8, Sendable, CaseIterable {
    case continuation = 0, text, binary, connectionClose = 8, ping, pong

    /// As rules and records spell it.
    public var name: String { self == .connectionClose ? "connection_close" : String(describing: self) }
  }

  public let direction: Direction
  /// The first octet: FIN, three reserved bits, opcode.
  public let head: UInt8
  public let mask: UInt32?
  /// The stream of HTTP/2 that carries it (RFC 8441); 0 for a connection of its own.
  public internal(set) var streamID: UInt32 = 0
  var payload = HTTPBody()

  static let windowBytes = 65_536

  init(id: UInt64, direction: Direction, head: UInt8, mask: UInt32?, start: Timestamp) {
    self.direction = direction
    self.head = head
    self.mask = mask
    super.init(id: id, appProtocol: .websocket, progressComplete: 2, start: start)
    progress = (1, 1)
  }

  public var opcode: UInt8 { head & 0x0f }
  public var isFinal: Bool { head & 0x80 != 0 }
  public var isCompressed: Bool { head & 0x40 != 0 }

  override public var soleDirection: Direction? { direction }

  func raise(_ name: String) { raise(AppEvent(.websocket, name)) }

  func complete() {
    payload.complete()
    progress = (2, 2)
  }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard id == .webSocketPayload, direction == self.direction, index == 0 else { return nil }
    return payload.view
  }

  override public func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard direction == self.direction, index == 0 else { return nil }
    switch id {
    case .webSocketOpcode: return UInt64(opcode)
    case .webSocketMask: return mask.map { UInt64($0) }
    // FIN and the reserved bits.
    case .webSocketFlags: return UInt64(head & 0xf0)
    default: return nil
    }
  }

  override public func markInspected(_ direction: Direction) {
    payload.markInspected(windowBytes: Self.windowBytes)
  }
}

extension BufferTable {
  static let webSocket: [BufferDeclaration] = [
    BufferDeclaration(
      .webSocketPayload, ["websocket.payload"], Direction.allCases.map { .init(.websocket, $0, progress: 1) },
      isStreaming: true, summary: "Payload of a frame, unmasked and decompressed, behind what its message brought before.")
  ]
}
