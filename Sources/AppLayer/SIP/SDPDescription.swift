/// What a session description says: the lines of the session, then those of each of its media.
///
/// Lines are taken by their letters, in whatever order they come: a receiver that is less strict than the
/// specification understands them, so rules have to see them. What has no meaning is passed over.
/// - Source: RFC 8866 section 5; the names of the fields are Suricata 8's (`sip.sdp`).
/// - Limits: ``linesMax`` lines and ``mediaMax`` media; what is beyond is not looked at.
public struct SDPDescription: Sendable {
  public static let linesMax = 512
  public static let mediaMax = 64

  /// One `t=` line with the `r=` line behind it.
  public struct Time: Sendable {
    public var time: [UInt8]
    public var repeatTime: [UInt8]?
  }

  public struct Media: Sendable {
    public var media: [UInt8]
    public var info: [UInt8]?
    public var connection: [UInt8]?
    public var bandwidths: [[UInt8]] = []
    public var encryptionKey: [UInt8]?
    public var attributes: [[UInt8]] = []
  }

  public private(set) var origin: [UInt8]?
  public private(set) var name: [UInt8]?
  public private(set) var info: [UInt8]?
  public private(set) var uri: [UInt8]?
  public private(set) var email: [UInt8]?
  public private(set) var phone: [UInt8]?
  public private(set) var connection: [UInt8]?
  public private(set) var bandwidths: [[UInt8]] = []
  public private(set) var times: [Time] = []
  public private(set) var timeZone: [UInt8]?
  public private(set) var encryptionKey: [UInt8]?
  public private(set) var attributes: [[UInt8]] = []
  public private(set) var media: [Media] = []

  /// - Returns: nil for what does not begin with a version.
  public init?(_ bytes: [UInt8]) {
    let lines = bytes.split(maxSplits: Self.linesMax, whereSeparator: HTTPScan.isLineEnd)
    guard let first = lines.first, first.starts(with: [UInt8(ascii: "v"), UInt8(ascii: "=")]) else { return nil }
    // What is left behind the last split is no line.
    for line in lines.prefix(Self.linesMax).dropFirst() {
      guard line.count >= 2, line[line.startIndex + 1] == UInt8(ascii: "="), let letter = line.first else { continue }
      let value = line.dropFirst(2)
      if letter == UInt8(ascii: "m") {
        guard media.count < Self.mediaMax else { return }
        media.append(Media(media: Self.joined(value)))
      } else if media.isEmpty {
        takeSession(letter, value)
      } else {
        Self.take(letter, value, &media[media.count - 1])
      }
    }
  }

  private mutating func takeSession(_ letter: UInt8, _ value: ArraySlice<UInt8>) {
    switch letter {
    case UInt8(ascii: "o"): origin = origin ?? Self.joined(value)
    case UInt8(ascii: "s"): name = name ?? Array(value)
    case UInt8(ascii: "i"): info = info ?? Array(value)
    case UInt8(ascii: "u"): uri = uri ?? Array(value)
    case UInt8(ascii: "e"): email = email ?? Array(value)
    case UInt8(ascii: "p"): phone = phone ?? Array(value)
    case UInt8(ascii: "c"): connection = connection ?? Self.joined(value)
    case UInt8(ascii: "b"): bandwidths.append(Array(value))
    case UInt8(ascii: "t"): times.append(Time(time: Self.joined(value)))
    case UInt8(ascii: "r"): if let last = times.indices.last { times[last].repeatTime = Self.joined(value) }
    case UInt8(ascii: "z"): timeZone = timeZone ?? Self.joined(value)
    case UInt8(ascii: "k"): encryptionKey = encryptionKey ?? Array(value)
    case UInt8(ascii: "a"): attributes.append(Array(value))
    default: break
    }
  }

  private static func take(_ letter: UInt8, _ value: ArraySlice<UInt8>, _ media: inout Media) {
    switch letter {
    case UInt8(ascii: "i"): media.info = media.info ?? Array(value)
    case UInt8(ascii: "c"): media.connection = media.connection ?? joined(value)
    case UInt8(ascii: "b"): media.bandwidths.append(Array(value))
    case UInt8(ascii: "k"): media.encryptionKey = media.encryptionKey ?? Array(value)
    case UInt8(ascii: "a"): media.attributes.append(Array(value))
    default: break
    }
  }

  /// The words of a line with one blank between them, as Suricata shows them.
  private static func joined(_ value: ArraySlice<UInt8>) -> [UInt8] {
    Array(value.split(whereSeparator: HTTPText.isBlank).joined(separator: [HTTPText.space]))
  }

  /// The value of a buffer, counted among those of its name.
  func value(_ id: BufferID, _ index: Int) -> [UInt8]? {
    switch id {
    case .sdpOrigin: index == 0 ? origin : nil
    case .sdpSessionName: index == 0 ? name : nil
    case .sdpSessionInfo: index == 0 ? info : nil
    case .sdpURI: index == 0 ? uri : nil
    case .sdpEmail: index == 0 ? email : nil
    case .sdpPhoneNumber: index == 0 ? phone : nil
    case .sdpConnectionData: index == 0 ? connection : nil
    case .sdpBandwidth: bandwidths.indices.contains(index) ? bandwidths[index] : nil
    case .sdpTime: times.indices.contains(index) ? times[index].time : nil
    case .sdpRepeatTime: Self.nth(index, times.lazy.compactMap(\.repeatTime))
    case .sdpTimezone: index == 0 ? timeZone : nil
    case .sdpEncryptionKey: index == 0 ? encryptionKey : nil
    case .sdpAttribute: attributes.indices.contains(index) ? attributes[index] : nil
    case .sdpMedia: media.indices.contains(index) ? media[index].media : nil
    case .sdpMediaInfo: Self.nth(index, media.lazy.compactMap(\.info))
    case .sdpMediaConnectionData: Self.nth(index, media.lazy.compactMap(\.connection))
    case .sdpMediaEncryptionKey: Self.nth(index, media.lazy.compactMap(\.encryptionKey))
    default: nil
    }
  }

  private static func nth(_ index: Int, _ values: some Sequence<[UInt8]>) -> [UInt8]? {
    var left = index
    for value in values {
      if left == 0 { return value }
      left -= 1
    }
    return nil
  }

  static func isBuffer(_ id: BufferID) -> Bool {
    switch id {
    case .sdpOrigin, .sdpSessionName, .sdpSessionInfo, .sdpURI, .sdpEmail, .sdpPhoneNumber, .sdpConnectionData,
      .sdpBandwidth, .sdpTime, .sdpRepeatTime, .sdpTimezone, .sdpEncryptionKey, .sdpAttribute, .sdpMedia,
      .sdpMediaInfo, .sdpMediaConnectionData, .sdpMediaEncryptionKey:
      true
    default: false
    }
  }
}

extension BufferTable {
  private static let messages = [
    BufferDeclaration.Source(.sip, .toServer, progress: SIPProgress.complete),
    BufferDeclaration.Source(.sip, .toClient, progress: SIPProgress.complete),
  ]

  /// - Source: Suricata 8, "SDP Keywords".
  static let sdp: [BufferDeclaration] = [
    one(.sdpOrigin, "sdp.origin", "Originator and session identifier (o=)."),
    one(.sdpSessionName, "sdp.session_name", "Name of the session (s=)."),
    one(.sdpSessionInfo, "sdp.session_info", "What the session is about (i=)."),
    one(.sdpURI, "sdp.uri", "Where to read more of the session (u=)."),
    one(.sdpEmail, "sdp.email", "Mail address of who is responsible (e=)."),
    one(.sdpPhoneNumber, "sdp.phone_number", "Telephone number of who is responsible (p=)."),
    one(.sdpConnectionData, "sdp.connection_data", "Address that the session's media go to (c=)."),
    each(.sdpBandwidth, "sdp.bandwidth", "Each bandwidth of the session (b=)."),
    each(.sdpTime, "sdp.time", "Each time at which the session is on (t=)."),
    each(.sdpRepeatTime, "sdp.repeat_time", "How each of these times is repeated (r=)."),
    one(.sdpTimezone, "sdp.timezone", "Adjustments of the time zone (z=)."),
    one(.sdpEncryptionKey, "sdp.encryption_key", "Key of the session (k=)."),
    each(.sdpAttribute, "sdp.attribute", "Each attribute of the session (a=)."),
    each(.sdpMedia, "sdp.media.media", "Kind, port, protocol and formats of each media (m=)."),
    each(.sdpMediaInfo, "sdp.media.media_info", "Title of each media (i=)."),
    each(.sdpMediaConnectionData, "sdp.media.connection_data", "Address of each media (c=)."),
    each(.sdpMediaEncryptionKey, "sdp.media.encryption_key", "Key of each media (k=)."),
  ]

  private static func one(_ id: BufferID, _ name: String, _ summary: String) -> BufferDeclaration {
    .init(id, [name], messages, summary: summary)
  }

  private static func each(_ id: BufferID, _ name: String, _ summary: String) -> BufferDeclaration {
    .init(id, [name], messages, isMultiple: true, summary: summary)
  }
}
