import Traffic

/// Where one direction of a TLS connection stands between records.
struct TLSLeg {
  /// Octets of the header of the record under way; up to 5.
  var headerCount = 0
  var header: UInt64 = 0
  var contentType: UInt8 = 0
  /// Octets of the record's content still to come.
  var remaining = 0
  /// Octets of the record's content that have come.
  var position = 0
  var isInRecord = false
  /// The first octets of a record that has few (alert, heartbeat).
  var start: [UInt8] = []
  var handshake = HandshakeAssembler()
  /// Content is ciphertext from here on.
  var isEncrypted = false
  var hasSeenRecord = false
  /// An SSLv2 message under way: as long as its header says.
  var ssl2: [UInt8]?
  var emptyRecordCount = 0
  var clientHelloCount = 0

  /// - Returns: false where the record ends with these octets, or they mean something.
  mutating func passCiphertext(_ count: Int) -> Bool {
    guard isInRecord, isEncrypted, ssl2 == nil, contentType == TLSContent.applicationData, count < remaining else { return false }
    remaining &-= count
    position &+= count
    return true
  }

  mutating func endRecord() {
    isInRecord = false
    headerCount = 0
    header = 0
    start = []
  }
}

/// Record types.
/// - Source: IANA "TLS ContentType".
enum TLSContent {
  static let changeCipherSpec: UInt8 = 20
  static let alert: UInt8 = 21
  static let handshake: UInt8 = 22
  static let applicationData: UInt8 = 23
  static let heartbeat: UInt8 = 24
}

/// Handshake message types.
/// - Source: IANA "TLS HandshakeType".
enum TLSHandshake {
  static let clientHello: UInt8 = 1
  static let serverHello: UInt8 = 2
  static let certificate: UInt8 = 11
  static let certificateRequest: UInt8 = 13
  static let serverHelloDone: UInt8 = 14
  static let clientKeyExchange: UInt8 = 16

  static func isKnown(_ type: UInt8) -> Bool {
    switch type {
    case 0...6, 8, 11...16, 20...25, 67, 203, 254: true
    default: false
    }
  }
}
