import Traffic

/// Reads NTP, a message to a datagram.
///
/// - Source: RFC 5905 section 7.3; RFC 1305 appendix B for control messages (mode 6), which have another form.
/// - Limits: none needed: of a message only its first 16 octets are kept.
public final class NTPParser: AppLayerParser {
  private var nextID: UInt64 = 0

  public init() { super.init(appProtocol: .ntp) }

  override public func consume(_ chunk: borrowing StreamChunk) {
    guard chunk.bytes.byteCount > 0 else { return }
    let made = NTPTransaction(chunk.bytes, id: nextID, direction: chunk.direction, start: chunk.time)
    nextID &+= 1
    transactions.append(made)
  }
}

/// One message of NTP.
public final class NTPTransaction: Transaction {
  public let direction: Direction
  public private(set) var version: UInt8 = 0
  public private(set) var mode: UInt8 = 0
  public private(set) var stratum: UInt8?
  public private(set) var referenceID: [UInt8]?

  init(_ bytes: RawSpan, id: UInt64, direction: Direction, start: Timestamp) {
    self.direction = direction
    super.init(id: id, appProtocol: .ntp, progressComplete: 1, start: start)
    progress = (1, 1)
    var reader = ByteReader(bytes)
    guard let first = reader.u8() else { return }
    version = first >> 3 & 7
    mode = first & 7
    if mode >= 6 { return }
    guard bytes.byteCount >= 48, let stratum = reader.u8(), reader.skip(10), let identifier = reader.take(4) else {
      raise(Self.malformed)
      return
    }
    self.stratum = stratum
    referenceID = identifier.copied()
  }

  /// - Source: Suricata 8's `ntp-events.rules`.
  public static let malformed = AppEvent(.ntp, "malformed_data")

  /// By number.
  public static let modes = [
    "reserved", "symmetric_active", "symmetric_passive", "client", "server", "broadcast", "control", "private",
  ]

  override public var soleDirection: Direction? { direction }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    id == .ntpReferenceID && index == 0 && direction == self.direction ? referenceID.map { BufferView($0) } : nil
  }

  override public func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard index == 0, direction == self.direction else { return nil }
    switch id {
    case .ntpVersion: return UInt64(version)
    case .ntpMode: return UInt64(mode)
    case .ntpStratum: return stratum.map { UInt64($0) }
    default: return nil
    }
  }
}

extension BufferTable {
  /// - Source: Suricata 8, "NTP Keywords".
  static let ntp: [BufferDeclaration] = [
    .init(
      .ntpReferenceID, ["ntp.reference_id"], Direction.allCases.map { .init(.ntp, $0, progress: 1) },
      summary: "The four octets that say whom the clock follows.")
  ]
}
