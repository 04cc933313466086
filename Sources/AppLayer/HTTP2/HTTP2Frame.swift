import Traffic

/// The nine octets before each frame.
///
/// - Source: RFC 9113 section 4.1.
struct HTTP2FrameHeader: Equatable {
  static let byteCount = 9

  let length: Int
  let type: UInt8
  let flags: UInt8
  /// 31 bits; 0 is the connection itself.
  let streamID: UInt32

  /// - Parameter bytes: at least ``byteCount`` octets.
  init(_ bytes: RawSpan) {
    length = Int(bytes.u8(at: 0)) << 16 | Int(bytes.u16(at: 1))
    type = bytes.u8(at: 3)
    flags = bytes.u8(at: 4)
    streamID = bytes.u32(at: 5) & 0x7fff_ffff
  }

  var kind: HTTP2FrameType? { HTTP2FrameType(rawValue: type) }
  var endsStream: Bool { flags & 0x1 != 0 }
  var endsHeaders: Bool { flags & 0x4 != 0 }
  var isPadded: Bool { flags & 0x8 != 0 }
  var hasPriority: Bool { flags & 0x20 != 0 }
}

/// - Source: RFC 9113 section 6; names as Suricata's `http2.frametype` has them.
public enum HTTP2FrameType: UInt8, Sendable, CaseIterable {
  case data, headers, priority, rstStream, settings, pushPromise, ping, goAway, windowUpdate
  case continuation

  /// In lower case, without separators.
  public var ruleName: String {
    switch self {
    case .data: "data"
    case .headers: "headers"
    case .priority: "priority"
    case .rstStream: "rststream"
    case .settings: "settings"
    case .pushPromise: "pushpromise"
    case .ping: "ping"
    case .goAway: "goaway"
    case .windowUpdate: "windowupdate"
    case .continuation: "continuation"
    }
  }
}

/// - Source: RFC 9113 section 7.
public enum HTTP2ErrorCode: UInt32, Sendable, CaseIterable {
  case noError, protocolError, internalError, flowControlError, settingsTimeout, streamClosed
  case frameSizeError, refusedStream, cancel, compressionError, connectError, enhanceYourCalm
  case inadequateSecurity, http11Required

  /// As the RFC spells it, which rules use.
  public var ruleName: String {
    var out = ""
    for character in recordName {
      if character.isUppercase, !out.isEmpty { out.append("_") }
      out += character.uppercased()
    }
    return self == .http11Required ? "HTTP_1_1_REQUIRED" : out
  }

  /// As records spell it.
  public var recordName: String {
    switch self {
    case .http11Required: return "Http11Required"
    case .noError, .protocolError, .internalError, .flowControlError, .settingsTimeout, .streamClosed,
      .frameSizeError, .refusedStream, .cancel, .compressionError, .connectError, .enhanceYourCalm,
      .inadequateSecurity:
      let name = String(describing: self)
      return name.prefix(1).uppercased() + name.dropFirst()
    }
  }
}

/// - Source: RFC 9113 section 6.5.2, RFC 8441, RFC 9218.
public enum HTTP2Setting: UInt16, Sendable, CaseIterable {
  case headerTableSize = 1, enablePush, maxConcurrentStreams, initialWindowSize, maxFrameSize
  case maxHeaderListSize
  case enableConnectProtocol = 8
  case noRFC7540Priorities = 9

  /// As the RFC spells it, which rules use.
  public var ruleName: String {
    switch self {
    case .headerTableSize: "SETTINGS_HEADER_TABLE_SIZE"
    case .enablePush: "SETTINGS_ENABLE_PUSH"
    case .maxConcurrentStreams: "SETTINGS_MAX_CONCURRENT_STREAMS"
    case .initialWindowSize: "SETTINGS_INITIAL_WINDOW_SIZE"
    case .maxFrameSize: "SETTINGS_MAX_FRAME_SIZE"
    case .maxHeaderListSize: "SETTINGS_MAX_HEADER_LIST_SIZE"
    case .enableConnectProtocol: "SETTINGS_ENABLE_CONNECT_PROTOCOL"
    case .noRFC7540Priorities: "SETTINGS_NO_RFC7540_PRIORITIES"
    }
  }

  /// As records spell it: without separators.
  public var recordName: String { ruleName.split(separator: "_").joined() }
}
