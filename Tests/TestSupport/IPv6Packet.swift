import Traffic

/// An extension header (RFC 8200 section 4) without its next-header field.
public struct IPv6ExtensionHeader {
  public var type: UInt8
  /// All octets after the next-header field.
  public var body: [UInt8]

  public init(type: UInt8, body: [UInt8]) {
    self.type = type
    self.body = body
  }

  /// Hop-by-hop options; `options` are padded with PadN to a multiple of eight octets.
  public static func hopByHop(options: [UInt8] = []) -> Self { optionHeader(0, options) }
  public static func destinationOptions(_ options: [UInt8] = []) -> Self {
    optionHeader(60, options)
  }

  public static func routing(type: UInt8, segmentsLeft: UInt8, addresses: [IPAddress]) -> Self {
    let length = UInt8(addresses.count * 2)
    return Self(
      type: 43, body: [length, type, segmentsLeft, 0, 0, 0, 0] + addresses.flatMap(\.networkBytes))
  }

  /// - Parameter offset: octets, a multiple of eight.
  public static func fragment(offset: Int, more: Bool, identification: UInt32) -> Self {
    var body: [UInt8] = [0]
    body.append16((offset / 8) << 3 | (more ? 1 : 0))
    body.append32(Int(identification))
    return Self(type: 44, body: body)
  }

  private static func optionHeader(_ type: UInt8, _ options: [UInt8]) -> Self {
    var body = options
    let missing = (8 - (options.count + 2) % 8) % 8
    if missing == 1 { body.append(0) }
    if missing > 1 { body += [1, UInt8(missing - 2)] + Array(repeating: 0, count: missing - 2) }
    return Self(type: type, body: [UInt8((body.count + 2) / 8 - 1)] + body)
  }
}

/// An IPv6 packet (RFC 8200); lengths are right unless a property says otherwise.
public struct IPv6Packet: NetworkPacket, TransportPayload {
  public var source: IPAddress
  public var destination: IPAddress
  public var payload: any TransportPayload
  public var extensionHeaders: [IPv6ExtensionHeader] = []
  public var trafficClass: UInt8 = 0
  public var flowLabel: UInt32 = 0
  public var hopLimit: UInt8 = 64
  /// Instead of the right payload length (octets after the fixed header).
  public var payloadLength: Int?

  public init(_ source: IPAddress, _ destination: IPAddress, _ payload: any TransportPayload) {
    self.source = source
    self.destination = destination
    self.payload = payload
  }

  public func with(_ change: (inout IPv6Packet) -> Void) -> IPv6Packet {
    var copy = self
    change(&copy)
    return copy
  }

  public var etherType: UInt16 { 0x86dd }
  public var ipProtocol: UInt8 { IPProtocol.ipv6 }
  public func bytes(under _: PseudoHeader) -> [UInt8] { bytes }

  public var bytes: [UInt8] {
    var body = payload.bytes(under: PseudoHeader(source: source, destination: destination))
    var next = payload.ipProtocol
    for header in extensionHeaders.reversed() {
      body = [next] + header.body + body
      next = header.type
    }
    var out: [UInt8] = []
    out.append32(6 << 28 | Int(trafficClass) << 20 | Int(flowLabel & 0xfffff))
    out.append16(payloadLength ?? body.count)
    out += [next, hopLimit]
    return out + source.networkBytes + destination.networkBytes + body
  }

  /// The packet cut into fragments of at most `size` octets of the fragmentable part; extension
  /// headers given beforehand are repeated in front of each fragment header.
  public func fragments(size: Int, identification: UInt32 = 1) -> [IPv6Packet] {
    let body = payload.bytes(under: PseudoHeader(source: source, destination: destination))
    let step = max(8, size / 8 * 8)
    return stride(from: 0, to: max(1, body.count), by: step).map { start in
      let end = min(start + step, body.count)
      return with {
        $0.payload = RawTransport(ipProtocol: payload.ipProtocol, Array(body[start..<end]))
        $0.extensionHeaders.append(
          .fragment(offset: start, more: end < body.count, identification: identification))
      }
    }
  }
}

/// An IPv4 or IPv6 packet, whichever the addresses are.
public func ipPacket(
  _ source: IPAddress, _ destination: IPAddress, _ payload: any TransportPayload
) -> any NetworkPacket {
  source.isIPv4
    ? IPv4Packet(source, destination, payload) : IPv6Packet(source, destination, payload)
}
