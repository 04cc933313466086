import Traffic

/// A DNS message (RFC 1035) to be written as query or response.
public struct DNSMessage: Sendable {
  public struct Question: Sendable {
    public var name: String
    public var type: UInt16
    public var recordClass: UInt16
    public init(_ name: String, type: UInt16 = 1, recordClass: UInt16 = 1) {
      self.name = name
      self.type = type
      self.recordClass = recordClass
    }
  }

  public enum Data: Sendable {
    /// A or AAAA, as the address is.
    case address(IPAddress)
    case cname(String)
    case ns(String)
    case ptr(String)
    /// Each text is one character-string.
    case txt([String])
    case mx(preference: UInt16, String)
    case srv(priority: UInt16, weight: UInt16, port: UInt16, String)
    case soa(primary: String, mailbox: String, serial: UInt32)
    case other(type: UInt16, [UInt8])

    var type: UInt16 {
      switch self {
      case .address(let address): address.isIPv4 ? 1 : 28
      case .ns: 2
      case .cname: 5
      case .soa: 6
      case .ptr: 12
      case .mx: 15
      case .txt: 16
      case .srv: 33
      case .other(let type, _): type
      }
    }
  }

  public struct Record: Sendable {
    public var name: String
    public var recordClass: UInt16 = 1
    public var timeToLive: UInt32
    public var data: Data
    public init(_ name: String, _ data: Data, timeToLive: UInt32 = 300) {
      self.name = name
      self.data = data
      self.timeToLive = timeToLive
    }
  }

  public var identifier: UInt16 = 0x1234
  /// The flags word: 0x0100 is a recursive query, 0x8180 its answer.
  public var flags: UInt16
  public var questions: [Question]
  public var answers: [Record] = []
  public var authorities: [Record] = []
  public var additionals: [Record] = []
  /// Names that were written before are written as pointers to them (section 4.1.4).
  public var compresses = true
  /// Adds an OPT record with this UDP payload size (RFC 6891).
  public var ednsPayloadSize: UInt16?

  public static func query(_ name: String, type: UInt16 = 1) -> Self {
    Self(flags: 0x0100, questions: [Question(name, type: type)])
  }

  /// An answer to `query`; `code` is the RCODE.
  public static func response(to query: DNSMessage, _ answers: [Record], code: UInt16 = 0) -> Self {
    var out = query
    out.flags = 0x8180 | code & 15
    out.answers = answers
    return out
  }

  public init(flags: UInt16, questions: [Question]) {
    self.flags = flags
    self.questions = questions
  }

  public var bytes: [UInt8] {
    var writer = Writer(compresses: compresses)
    let counts = [
      Int(identifier), Int(flags), questions.count, answers.count, authorities.count,
      additionals.count + (ednsPayloadSize == nil ? 0 : 1),
    ]
    counts.forEach { writer.out.append16($0) }
    for question in questions {
      writer.name(question.name)
      writer.out.append16(Int(question.type))
      writer.out.append16(Int(question.recordClass))
    }
    for record in answers + authorities + additionals { writer.record(record) }
    if let ednsPayloadSize {
      writer.out += [0, 0, 41]
      writer.out.append16(Int(ednsPayloadSize))
      writer.out += [0, 0, 0, 0, 0, 0]
    }
    return writer.out
  }

  /// With the two-octet length in front, as over TCP (section 4.2.2).
  public var bytesOverTCP: [UInt8] { bytes.prefixed(octets: 2) }

  private struct Writer {
    var out: [UInt8] = []
    let compresses: Bool
    var offsets: [String: Int] = [:]

    init(compresses: Bool) { self.compresses = compresses }

    mutating func name(_ name: String) {
      var labels = name.split(separator: ".")[...]
      while let label = labels.first {
        let suffix = labels.joined(separator: ".")
        if compresses, let offset = offsets[suffix] {
          out.append16(0xc000 | offset)
          return
        }
        if out.count < 0x4000 { offsets[suffix] = out.count }
        out += Array(label.utf8).prefixed(octets: 1)
        labels = labels.dropFirst()
      }
      out.append(0)
    }

    mutating func record(_ record: Record) {
      name(record.name)
      out.append16(Int(record.data.type))
      out.append16(Int(record.recordClass))
      out.append32(Int(record.timeToLive))
      let lengthIndex = out.count
      out += [0, 0]
      data(record.data)
      out.set16(out.count - lengthIndex - 2, at: lengthIndex)
    }

    mutating func data(_ data: Data) {
      switch data {
      case .address(let address): out += address.networkBytes
      case .cname(let target), .ns(let target), .ptr(let target): name(target)
      case .txt(let texts): out += texts.flatMap { Array($0.utf8).prefixed(octets: 1) }
      case .mx(let preference, let target):
        out.append16(Int(preference))
        name(target)
      case .srv(let priority, let weight, let port, let target):
        [priority, weight, port].forEach { out.append16(Int($0)) }
        name(target)
      case .soa(let primary, let mailbox, let serial):
        name(primary)
        name(mailbox)
        [Int(serial), 7200, 3600, 1_209_600, 300].forEach { out.append32($0) }
      case .other(_, let bytes): out += bytes
      }
    }
  }
}
