/// What a worker and the process that holds the authority's key say to each other: a message each way for a leaf.
///
/// Messages keep their bounds (SOCK_SEQPACKET). The worker sends a number of its choice and the octets to be signed; the answer bears
/// the same number.
/// - Limits: `requestBytesMax` and `answerBytesMax`; what is longer is refused unread.
enum SigningMessage: Equatable {
  /// The process is there, for the first time or again: what was asked before may have been lost.
  case ready
  /// It can't sign, and why; it ends then.
  case unusable(String)
  case signed(number: UInt32, signature: [UInt8])
  case refused(number: UInt32, reason: String)

  static let requestBytesMax = 131_072
  static let answerBytesMax = 2_048
  /// Octets of the number in front.
  static let numberBytes = 4

  static func request(_ number: UInt32, _ toBeSigned: [UInt8]) -> [UInt8] { octets(number) + toBeSigned }

  static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.prefix(numberBytes).reduce(0) { $0 << 8 | UInt32($1) } }

  private static func octets(_ number: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
  }

  var bytes: [UInt8] {
    switch self {
    case .ready: [1]
    case .unusable(let text): [2] + Array(text.utf8.prefix(Self.answerBytesMax - 8))
    case .signed(let number, let signature): [3] + Self.octets(number) + signature
    case .refused(let number, let reason): [4] + Self.octets(number) + Array(reason.utf8.prefix(Self.answerBytesMax - 8))
    }
  }

  /// - Returns: nil for what is no answer.
  init?(_ bytes: ArraySlice<UInt8>) {
    guard let kind = bytes.first else { return nil }
    let rest = bytes.dropFirst()
    switch kind {
    case 1 where rest.isEmpty: self = .ready
    case 2: self = .unusable(String(decoding: rest, as: UTF8.self))
    case 3 where rest.count > Self.numberBytes:
      self = .signed(number: Self.number(rest), signature: Array(rest.dropFirst(Self.numberBytes)))
    case 4 where rest.count >= Self.numberBytes:
      self = .refused(number: Self.number(rest), reason: String(decoding: rest.dropFirst(Self.numberBytes), as: UTF8.self))
    default: return nil
    }
  }
}

/// With what an authority signs.
enum SignatureAlgorithm: Sendable {
  case ecdsa
  case rsa

  /// AlgorithmIdentifier in DER. Source: RFC 5758 section 3.2, RFC 4055 section 5.
  var der: [UInt8] {
    switch self {
    case .ecdsa: [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]
    case .rsa: [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00]
    }
  }
}
