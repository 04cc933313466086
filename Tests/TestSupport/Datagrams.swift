import Traffic

/// A UDP datagram (RFC 768).
public struct UDPDatagram: TransportPayload {
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  public var payload: [UInt8]
  public var hasBadChecksum = false
  /// Writes 0, "no checksum".
  public var omitsChecksum = false
  /// Instead of the right length, octets with the header.
  public var length: Int?

  public init(from sourcePort: UInt16, to destinationPort: UInt16, _ payload: [UInt8] = []) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.payload = payload
  }

  public func with(_ change: (inout UDPDatagram) -> Void) -> UDPDatagram {
    var copy = self
    change(&copy)
    return copy
  }

  public var ipProtocol: UInt8 { IPProtocol.udp }

  public func bytes(under pseudoHeader: PseudoHeader) -> [UInt8] {
    var out: [UInt8] = []
    out.append16(Int(sourcePort))
    out.append16(Int(destinationPort))
    out.append16(length ?? 8 + payload.count)
    out += [0, 0] + payload
    if omitsChecksum { return out }
    let checksum = pseudoHeader.checksum(out, ipProtocol: ipProtocol)
    // A sum of 0 is sent as all ones, because 0 stands for "no checksum".
    let stored = checksum == 0 ? 0xffff : checksum
    out.set16(stored ^ (hasBadChecksum ? 0x5555 : 0), at: 6)
    return out
  }
}

/// An ICMPv4 message (RFC 792).
public struct ICMPv4Message: TransportPayload {
  public var type: UInt8
  public var code: UInt8
  /// The four octets after the checksum: identifier and sequence, MTU, gateway, or zero.
  public var rest: [UInt8]
  public var payload: [UInt8]
  public var hasBadChecksum = false

  public init(type: UInt8, code: UInt8 = 0, rest: [UInt8] = [0, 0, 0, 0], payload: [UInt8] = []) {
    self.type = type
    self.code = code
    self.rest = rest
    self.payload = payload
  }

  public static func echo(
    reply: Bool = false, identifier: UInt16, sequence: UInt16, payload: [UInt8] = []
  ) -> Self {
    var rest: [UInt8] = []
    rest.append16(Int(identifier))
    rest.append16(Int(sequence))
    return Self(type: reply ? 0 : 8, rest: rest, payload: payload)
  }

  /// Destination unreachable (3) or another error, quoting header and first octets of `packet`.
  public static func error(type: UInt8 = 3, code: UInt8, about packet: IPv4Packet) -> Self {
    Self(type: type, code: code, payload: Array(packet.bytes.prefix(28)))
  }

  public var ipProtocol: UInt8 { IPProtocol.icmp }

  public func bytes(under _: PseudoHeader) -> [UInt8] {
    var out: [UInt8] = [type, code, 0, 0] + rest + payload
    out.set16(internetChecksum(out) ^ (hasBadChecksum ? 0x5555 : 0), at: 2)
    return out
  }
}

/// An ICMPv6 message (RFC 4443).
public struct ICMPv6Message: TransportPayload {
  public var type: UInt8
  public var code: UInt8
  public var rest: [UInt8]
  public var payload: [UInt8]
  public var hasBadChecksum = false

  public init(type: UInt8, code: UInt8 = 0, rest: [UInt8] = [0, 0, 0, 0], payload: [UInt8] = []) {
    self.type = type
    self.code = code
    self.rest = rest
    self.payload = payload
  }

  public static func echo(
    reply: Bool = false, identifier: UInt16, sequence: UInt16, payload: [UInt8] = []
  ) -> Self {
    var rest: [UInt8] = []
    rest.append16(Int(identifier))
    rest.append16(Int(sequence))
    return Self(type: reply ? 129 : 128, rest: rest, payload: payload)
  }

  public var ipProtocol: UInt8 { IPProtocol.icmpv6 }

  public func bytes(under pseudoHeader: PseudoHeader) -> [UInt8] {
    var out: [UInt8] = [type, code, 0, 0] + rest + payload
    let checksum = pseudoHeader.checksum(out, ipProtocol: ipProtocol)
    out.set16(checksum ^ (hasBadChecksum ? 0x5555 : 0), at: 2)
    return out
  }
}

/// GRE (RFC 2784, RFC 2890).
public struct GREPacket: TransportPayload {
  public var payload: any NetworkPacket
  public var key: UInt32?
  public var sequence: UInt32?
  public var hasChecksum = false
  /// The version field; 1 is PPTP's enhanced GRE.
  public var version: UInt8 = 0

  public init(_ payload: any NetworkPacket, key: UInt32? = nil, sequence: UInt32? = nil) {
    self.payload = payload
    self.key = key
    self.sequence = sequence
  }

  public var ipProtocol: UInt8 { IPProtocol.gre }

  public func bytes(under _: PseudoHeader) -> [UInt8] {
    let flags: UInt8 = (hasChecksum ? 0x80 : 0) | (key != nil ? 0x20 : 0) | (sequence != nil ? 0x10 : 0)
    var out: [UInt8] = [flags, version & 7]
    out.append16(Int(payload.etherType))
    if hasChecksum { out += [0, 0, 0, 0] }
    if let key { out.append32(Int(key)) }
    if let sequence { out.append32(Int(sequence)) }
    out += payload.bytes
    if hasChecksum { out.set16(internetChecksum(out), at: 4) }
    return out
  }
}

/// SCTP (RFC 9260) with chunks as type, flags and value.
public struct SCTPPacket: TransportPayload {
  public struct Chunk {
    public var type: UInt8
    public var flags: UInt8
    public var value: [UInt8]
    public init(type: UInt8, flags: UInt8 = 0, value: [UInt8]) {
      self.type = type
      self.flags = flags
      self.value = value
    }
  }
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  public var verificationTag: UInt32
  public var chunks: [Chunk]

  public init(
    from sourcePort: UInt16, to destinationPort: UInt16, verificationTag: UInt32 = 0,
    chunks: [Chunk] = []
  ) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.verificationTag = verificationTag
    self.chunks = chunks
  }

  public var ipProtocol: UInt8 { IPProtocol.sctp }

  public func bytes(under _: PseudoHeader) -> [UInt8] {
    var out: [UInt8] = []
    out.append16(Int(sourcePort))
    out.append16(Int(destinationPort))
    out.append32(Int(verificationTag))
    out += [0, 0, 0, 0]
    for chunk in chunks {
      out += [chunk.type, chunk.flags]
      out.append16(4 + chunk.value.count)
      out += chunk.value + Array(repeating: 0, count: (4 - chunk.value.count % 4) % 4)
    }
    // The CRC stands in the header least significant octet first.
    let crc = crc32c(out)
    for i in 0..<4 { out[8 + i] = UInt8(truncatingIfNeeded: crc >> UInt32(8 * i)) }
    return out
  }
}
