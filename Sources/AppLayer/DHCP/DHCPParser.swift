import Traffic

/// Reads DHCP, a message to a datagram.
///
/// - Source: RFC 2131 section 2 (header), RFC 2132 (options), RFC 3396 (options in several parts are taken one by one).
/// - Limits: ``DHCPTransaction/optionCountMax`` options.
public final class DHCPParser: AppLayerParser {
  private var nextID: UInt64 = 0

  public init() { super.init(appProtocol: .dhcp) }

  override public func consume(_ chunk: borrowing StreamChunk) {
    guard
      let made = DHCPTransaction(parsing: chunk.bytes, id: nextID, direction: chunk.direction, start: chunk.time)
    else { return }
    nextID &+= 1
    transactions.append(made)
  }
}

/// One message of DHCP.
public final class DHCPTransaction: Transaction {
  public struct Option: Sendable {
    public let code: UInt8
    public let value: [UInt8]

    /// The number that the value is; nil where it is none of four octets.
    var number: UInt64? { value.count == 4 ? value.reduce(0) { $0 << 8 | UInt64($1) } : nil }
  }

  /// Codes of options (RFC 2132).
  public enum Code {
    public static let subnetMask: UInt8 = 1
    public static let routers: UInt8 = 3
    public static let nameServers: UInt8 = 6
    public static let hostName: UInt8 = 12
    public static let requestedAddress: UInt8 = 50
    public static let leaseTime: UInt8 = 51
    public static let messageType: UInt8 = 53
    public static let parameters: UInt8 = 55
    public static let renewalTime: UInt8 = 58
    public static let rebindingTime: UInt8 = 59
    public static let vendorClass: UInt8 = 60
    public static let clientID: UInt8 = 61
  }

  public static let optionCountMax = 256

  public let direction: Direction
  /// 1 from a client, 2 from a server.
  public let opcode: UInt8
  public let transactionID: UInt32
  /// Four octets each.
  public let clientAddress, assignedAddress, nextServer, relay: [UInt8]
  /// The client's hardware address, as long as the header says.
  public let hardwareAddress: [UInt8]
  public private(set) var options: [Option] = []

  init?(parsing bytes: RawSpan, id: UInt64, direction: Direction, start: Timestamp) {
    self.direction = direction
    var reader = ByteReader(bytes)
    guard let opcode = reader.u8(), reader.skip(1), let hardwareCount = reader.u8(), reader.skip(1),
      let number = reader.u32(), reader.skip(4), let client = reader.take(4), let assigned = reader.take(4),
      let next = reader.take(4), let relay = reader.take(4), let hardware = reader.take(16), reader.skip(64 + 128),
      let magic = reader.u32(), magic == 0x6382_5363
    else { return nil }
    self.opcode = opcode
    transactionID = number
    clientAddress = client.copied()
    assignedAddress = assigned.copied()
    nextServer = next.copied()
    self.relay = relay.copied()
    hardwareAddress = Array(hardware.copied().prefix(Int(hardwareCount)))
    super.init(id: id, appProtocol: .dhcp, progressComplete: 1, start: start)
    progress = (1, 1)
    readOptions(reader.rest())
  }

  private func readOptions(_ bytes: RawSpan) {
    var reader = ByteReader(bytes)
    while options.count < Self.optionCountMax {
      guard let code = reader.u8() else { return raise(Self.truncated) }
      if code == 255 { return }
      // A pad.
      if code == 0 { continue }
      guard let count = reader.u8() else { return raise(Self.truncated) }
      guard let value = reader.take(Int(count)) else { return raise(Self.truncated) }
      let option = Option(code: code, value: value.copied())
      if Self.hasNumber(code), option.number == nil { raise(Self.malformed) }
      options.append(option)
    }
  }

  private static func hasNumber(_ code: UInt8) -> Bool {
    code == Code.leaseTime || code == Code.renewalTime || code == Code.rebindingTime
  }

  /// - Source: Suricata 8's `dhcp-events.rules`.
  public static let truncated = AppEvent(.dhcp, "truncated_options")
  public static let malformed = AppEvent(.dhcp, "malformed_options")

  public func option(_ code: UInt8) -> Option? { options.first { $0.code == code } }

  public func seconds(_ code: UInt8) -> UInt64? { option(code)?.number }

  /// 1 discover … 8 inform; nil for BOOTP.
  public var messageType: UInt8? { option(Code.messageType).flatMap { $0.value.count == 1 ? $0.value[0] : nil } }

  override public var soleDirection: Direction? { direction }

  override public func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard index == 0, direction == self.direction else { return nil }
    switch id {
    case .dhcpLeaseTime: return seconds(Code.leaseTime)
    case .dhcpRenewalTime: return seconds(Code.renewalTime)
    case .dhcpRebindingTime: return seconds(Code.rebindingTime)
    default: return nil
    }
  }
}
