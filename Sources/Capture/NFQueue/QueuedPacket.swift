import Traffic

/// A packet that the kernel holds until it hears a verdict; borrowed from the receive buffer.
public struct QueuedPacket: ~Escapable {
  /// What a verdict refers to.
  public let id: UInt32
  /// From the IP header on (`LinkType.raw`); empty for a packet without payload.
  public let bytes: RawSpan
  /// Octets of the whole packet; more than `bytes.byteCount` when the kernel cut it.
  public let originalLength: Int
  public let time: Timestamp
  /// The packet mark (`nfmark`), 0 for none.
  public let mark: UInt32
  /// Interface indices, 0 for none.
  public let inputInterface: UInt32
  public let outputInterface: UInt32
  /// The bridge ports behind them, 0 where there is no bridge.
  public let physicalInputInterface: UInt32
  public let physicalOutputInterface: UInt32
  /// The EtherType, 0x0800 or 0x86dd.
  public let hardwareProtocol: UInt16
  /// The 802.1Q tag control information, 0 for none.
  public let vlanTag: UInt16
  /// Who sent the frame: six octets in the lower 48 bits, 0 for none.
  public let hardwareSource: UInt64
  /// The netfilter hook: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
  public let hook: UInt8
  /// The transport checksum is only begun, hardware was to finish it: it can't be verified, and
  /// a rewritten payload must carry a full one.
  public let checksumNotReady: Bool
  /// Several segments in one (up to 64 KiB).
  public let isGSO: Bool

  @inlinable
  public var linkType: LinkType { .raw }

  @_lifetime(copy bytes)
  init(_ fields: QueueMessage, bytes: RawSpan, arrival: Timestamp) {
    self.bytes = bytes
    id = fields.id
    originalLength = max(bytes.byteCount, Int(fields.capturedLength))
    time = fields.time ?? arrival
    mark = fields.mark
    inputInterface = fields.inputInterface
    outputInterface = fields.outputInterface
    physicalInputInterface = fields.physicalInputInterface
    physicalOutputInterface = fields.physicalOutputInterface
    hardwareProtocol = fields.hardwareProtocol
    vlanTag = fields.vlanTag
    hardwareSource = fields.hardwareSource
    hook = fields.hook
    checksumNotReady = fields.skbInfo & QueueMessage.checksumNotReady != 0
    isGSO = fields.skbInfo & QueueMessage.isGSO != 0
  }
}

/// Packets that came from the kernel together, in order; borrowed from the receive buffers.
public struct QueuedBatch: ~Escapable {
  private let bytes: RawSpan
  private let messages: [QueueMessage]
  private let arrival: Timestamp

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, _ messages: [QueueMessage], arrival: Timestamp) {
    self.bytes = bytes
    self.messages = messages
    self.arrival = arrival
  }

  /// At least 1.
  public var count: Int { messages.count }

  /// - Parameter index: 0..<count; anything else is a mistake of the caller and traps.
  @_lifetime(copy self)
  public func packet(at index: Int) -> QueuedPacket {
    let message = messages[index]
    return QueuedPacket(message, bytes: bytes.extracting(message.payload), arrival: arrival)
  }
}

/// What the kernel shall do with a queued packet.
public enum PacketVerdict: UInt32, Sendable, Hashable {
  /// NF_DROP.
  case drop = 0
  /// NF_ACCEPT: on to the next hook.
  case accept = 1
  /// NF_REPEAT: through the same chain again. Give a mark by which the chain tells it apart, or it
  /// is queued for ever.
  case `repeat` = 4
}
