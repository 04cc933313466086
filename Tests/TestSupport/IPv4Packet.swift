import Traffic

/// Something an IP packet carries.
public protocol TransportPayload {
  var ipProtocol: UInt8 { get }
  /// - Parameter pseudoHeader: what the checksum covers besides the payload, without length and
  ///   protocol.
  func bytes(under pseudoHeader: PseudoHeader) -> [UInt8]
}

/// Addresses that a transport checksum covers (RFC 9293 section 3.1, RFC 8200 section 8.1).
public struct PseudoHeader {
  public var source: IPAddress
  public var destination: IPAddress

  func checksum(_ segment: [UInt8], ipProtocol: UInt8) -> Int {
    var bytes = source.networkBytes + destination.networkBytes
    if source.isIPv4 {
      bytes += [0, ipProtocol]
      bytes.append16(segment.count)
    } else {
      bytes.append32(segment.count)
      bytes += [0, 0, 0, ipProtocol]
    }
    return internetChecksum(bytes + segment)
  }
}

/// Any octets under any protocol number: fragments, unknown protocols, nonsense.
public struct RawTransport: TransportPayload {
  public var ipProtocol: UInt8
  public var payload: [UInt8]
  public init(ipProtocol: UInt8, _ payload: [UInt8]) {
    self.ipProtocol = ipProtocol
    self.payload = payload
  }
  public func bytes(under _: PseudoHeader) -> [UInt8] { payload }
}

/// An IPv4 packet (RFC 791); lengths and checksum are right unless a property says otherwise.
public struct IPv4Packet: NetworkPacket, TransportPayload {
  public var source: IPAddress
  public var destination: IPAddress
  public var payload: any TransportPayload
  public var typeOfService: UInt8 = 0
  public var identification: UInt16 = 1
  public var dontFragment = true
  public var moreFragments = false
  /// The evil bit.
  public var reservedFlag = false
  /// Octets, a multiple of eight.
  public var fragmentOffset = 0
  public var timeToLive: UInt8 = 64
  /// Padded with zeros to a multiple of four.
  public var options: [UInt8] = []
  public var hasBadChecksum = false
  /// Instead of the right header length (32-bit words) and total length (octets).
  public var headerWords: UInt8?
  public var totalLength: Int?

  public init(_ source: IPAddress, _ destination: IPAddress, _ payload: any TransportPayload) {
    self.source = source
    self.destination = destination
    self.payload = payload
  }

  /// The same with properties changed: `IPv4Packet(a, b, tcp).with { $0.timeToLive = 1 }`.
  public func with(_ change: (inout IPv4Packet) -> Void) -> IPv4Packet {
    var copy = self
    change(&copy)
    return copy
  }

  public var etherType: UInt16 { 0x0800 }
  public var ipProtocol: UInt8 { IPProtocol.ipv4 }
  public func bytes(under _: PseudoHeader) -> [UInt8] { bytes }

  public var bytes: [UInt8] {
    let body = payload.bytes(under: PseudoHeader(source: source, destination: destination))
    let padded = options + Array(repeating: 0, count: (4 - options.count % 4) % 4)
    let words = headerWords ?? UInt8(5 + padded.count / 4)
    var out: [UInt8] = [4 << 4 | words & 15, typeOfService]
    out.append16(totalLength ?? 20 + padded.count + body.count)
    out.append16(Int(identification))
    let flags = (reservedFlag ? 4 : 0) | (dontFragment ? 2 : 0) | (moreFragments ? 1 : 0)
    out.append16(flags << 13 | fragmentOffset / 8 & 0x1fff)
    out += [timeToLive, payload.ipProtocol, 0, 0]
    out += source.networkBytes + destination.networkBytes + padded
    out.set16(internetChecksum(out) ^ (hasBadChecksum ? 0x5555 : 0), at: 10)
    return out + body
  }

  /// The packet cut into fragments of at most `size` payload octets (rounded down to eight).
  public func fragments(size: Int) -> [IPv4Packet] {
    let body = payload.bytes(under: PseudoHeader(source: source, destination: destination))
    let step = max(8, size / 8 * 8)
    return stride(from: 0, to: max(1, body.count), by: step).map { start in
      let end = min(start + step, body.count)
      return with {
        $0.payload = RawTransport(ipProtocol: payload.ipProtocol, Array(body[start..<end]))
        $0.fragmentOffset = fragmentOffset + start
        $0.moreFragments = end < body.count || moreFragments
        $0.dontFragment = false
      }
    }
  }
}
