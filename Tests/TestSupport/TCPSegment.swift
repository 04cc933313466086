import Traffic

public struct TCPFlags: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  public static let fin = TCPFlags(rawValue: 1)
  public static let syn = TCPFlags(rawValue: 2)
  public static let rst = TCPFlags(rawValue: 4)
  public static let psh = TCPFlags(rawValue: 8)
  public static let ack = TCPFlags(rawValue: 16)
  public static let urg = TCPFlags(rawValue: 32)
  public static let ece = TCPFlags(rawValue: 64)
  public static let cwr = TCPFlags(rawValue: 128)
}

public enum TCPOption {
  case end
  case noOperation
  case maximumSegmentSize(UInt16)
  case windowScale(UInt8)
  case sackPermitted
  /// Left and right edges.
  case sack([(UInt32, UInt32)])
  case timestamps(value: UInt32, echo: UInt32)
  /// Any kind; the length octet is written for it.
  case other(kind: UInt8, [UInt8])
  /// Octets as they stand, to spell malformed options.
  case raw([UInt8])

  var bytes: [UInt8] {
    var out: [UInt8] = []
    switch self {
    case .end: out = [0]
    case .noOperation: out = [1]
    case .maximumSegmentSize(let size):
      out = [2, 4]
      out.append16(Int(size))
    case .windowScale(let shift): out = [3, 3, shift]
    case .sackPermitted: out = [4, 2]
    case .sack(let blocks):
      out = [5, UInt8(truncatingIfNeeded: 2 + 8 * blocks.count)]
      for (left, right) in blocks {
        out.append32(Int(left))
        out.append32(Int(right))
      }
    case .timestamps(let value, let echo):
      out = [8, 10]
      out.append32(Int(value))
      out.append32(Int(echo))
    case .other(let kind, let body): out = [kind, UInt8(truncatingIfNeeded: body.count + 2)] + body
    case .raw(let octets): out = octets
    }
    return out
  }
}

/// A TCP segment (RFC 9293 section 3.1).
public struct TCPSegment: TransportPayload {
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  public var sequence: UInt32
  public var acknowledgment: UInt32
  public var flags: TCPFlags
  public var window: UInt16 = 65_535
  public var urgentPointer: UInt16 = 0
  /// Padded with end-of-list octets to a multiple of four.
  public var options: [TCPOption]
  public var payload: [UInt8]
  public var hasBadChecksum = false
  /// Instead of the right header length, 32-bit words.
  public var headerWords: UInt8?

  public init(
    from sourcePort: UInt16, to destinationPort: UInt16, sequence: UInt32 = 0,
    acknowledgment: UInt32 = 0, flags: TCPFlags, options: [TCPOption] = [],
    payload: [UInt8] = []
  ) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.sequence = sequence
    self.acknowledgment = acknowledgment
    self.flags = flags
    self.options = options
    self.payload = payload
  }

  public func with(_ change: (inout TCPSegment) -> Void) -> TCPSegment {
    var copy = self
    change(&copy)
    return copy
  }

  public var ipProtocol: UInt8 { IPProtocol.tcp }

  public func bytes(under pseudoHeader: PseudoHeader) -> [UInt8] {
    var optionBytes = options.flatMap(\.bytes)
    optionBytes += Array(repeating: 0, count: (4 - optionBytes.count % 4) % 4)
    var out: [UInt8] = []
    out.append16(Int(sourcePort))
    out.append16(Int(destinationPort))
    out.append32(Int(sequence))
    out.append32(Int(acknowledgment))
    let words = headerWords ?? UInt8(truncatingIfNeeded: 5 + optionBytes.count / 4)
    out += [(words & 15) << 4, flags.rawValue]
    out.append16(Int(window))
    out += [0, 0]
    out.append16(Int(urgentPointer))
    out += optionBytes + payload
    let checksum = pseudoHeader.checksum(out, ipProtocol: ipProtocol)
    out.set16(checksum ^ (hasBadChecksum ? 0x5555 : 0), at: 16)
    return out
  }
}
