import PacketDecoding
import RuleLanguage
import Traffic

/// Keywords about one packet's headers.
///
/// - Source: Suricata "IP Keywords", "TCP keywords", "ICMP keywords", dsize, vlan.
enum PacketKeywords {
  static let table: [String: KeywordHandler] = [
    "l3_proto": networkProtocol,
    "dsize": { (reader, option) throws(RuleValueError) in
      let isKnown = reader.draft.conditions.contains { if case .packet(.payloadSize) = $0 { true } else { false } }
      if isKnown { throw .misplaced("a rule has one dsize", hint: "dsize:10<>20") }
      reader.add(.payloadSize(try option.condition(max: 65_535)))
    },
    "flags": flags, "tcp.flags": flags, "seq": sequence, "ack": acknowledgement,
    "tcp.seq": sequence, "tcp.ack": acknowledgement,
    "window": window, "tcp.window": window, "tcp.mss": number(65_535) { .tcpMSS($0) },
    "tcp.wscale": number(255) { .tcpWindowScale($0) },
    "ttl": number(255) { .timeToLive($0) }, "tos": typeOfService, "id": fragmentID,
    "ipopts": ipOptions, "ip_proto": ipProtocol, "fragbits": fragmentBits,
    "fragoffset": number(65_535) { .fragmentOffset($0) },
    "itype": number(255) { .icmpType($0) }, "icode": number(255) { .icmpCode($0) },
    "icmp_id": { (reader, option) throws(RuleValueError) in
      reader.add(.icmpID(UInt16(truncatingIfNeeded: try plain(option, 65_535))))
    },
    "icmp_seq": { (reader, option) throws(RuleValueError) in
      reader.add(.icmpSequence(UInt16(truncatingIfNeeded: try plain(option, 65_535))))
    },
    "icmpv6.mtu": number(UInt64(UInt32.max)) { .icmpv6MTU($0) },
    "sameip": { (reader, option) throws(RuleValueError) in
      try option.refuseValue()
      reader.add(.sameAddress)
    },
    "vlan.id": vlanID, "vlan.layers": number(255) { .vlanLayers($0) },
    "ipv4-csum": checksum(.network, 4, 0),
    "tcpv4-csum": checksum(.transport, 4, IPProtocol.tcp), "tcpv6-csum": checksum(.transport, 6, IPProtocol.tcp),
    "udpv4-csum": checksum(.transport, 4, IPProtocol.udp), "udpv6-csum": checksum(.transport, 6, IPProtocol.udp),
    "icmpv4-csum": checksum(.transport, 4, IPProtocol.icmp),
    "icmpv6-csum": checksum(.transport, 6, IPProtocol.icmpv6),
    "rpc": remoteCall,
    "pkt_data": { (reader, option) throws(RuleValueError) in
      try option.refuseValue()
      reader.selectPayload()
    },
  ]

  /// The version of IP.
  private static let networkProtocol: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let version: UInt8
    switch try option.word().lowercased() {
    case "ipv4", "ip4": version = 4
    case "ipv6", "ip6": version = 6
    default: throw RuleValueError("must be ipv4 or ipv6")
    }
    guard reader.draft.head.ipVersion == 0 || reader.draft.head.ipVersion == version else {
      throw RuleValueError("the rule's header asks for the other version of IP")
    }
    reader.draft.head.ipVersion = version
  }

  private static func number(
    _ max: UInt64, _ make: @escaping @Sendable (NumericCondition) -> PacketCondition
  ) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in reader.add(make(try option.condition(max: max))) }
  }

  private static func plain(_ option: RuleOption, _ max: UInt64) throws(RuleValueError) -> UInt64 {
    try RuleNumber.unsigned(Array(try option.word().utf8), in: 0...max)
  }

  private static let sequence: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.add(.tcpSequence(UInt32(truncatingIfNeeded: try plain(option, UInt64(UInt32.max)))))
  }

  private static let acknowledgement: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.add(.tcpAcknowledgement(UInt32(truncatingIfNeeded: try plain(option, UInt64(UInt32.max)))))
  }

  /// A number, perhaps with `!` before it; `x1f` is hexadecimal.
  private static func negatable(
    _ option: RuleOption, _ max: UInt64
  ) throws(RuleValueError) -> (number: UInt64, isNegated: Bool) {
    var text = try option.word()
    let isNegated = text.hasPrefix("!")
    if isNegated { text = String(text.dropFirst()).trimmed }
    if text.hasPrefix("x") { text = "0" + text }
    return (try RuleNumber.unsigned(Array(text.utf8), in: 0...max), isNegated)
  }

  private static let window: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let value = try negatable(option, 65_535)
    reader.add(.tcpWindow(UInt16(truncatingIfNeeded: value.number), isNegated: value.isNegated))
  }

  private static let typeOfService: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let value = try negatable(option, 255)
    reader.add(.typeOfService(UInt8(truncatingIfNeeded: value.number), isNegated: value.isNegated))
  }

  private static let fragmentID: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.add(.fragmentID(UInt32(truncatingIfNeeded: try plain(option, 65_535))))
  }

  private static let vlanID: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    guard items.count <= 2 else { throw items[2].error("too many items") }
    var layer = VLANLayer.any
    if items.count == 2 {
      switch items[1].word {
      case "any": layer = .any
      case "all": layer = .all
      default:
        guard let number = Int(items[1].text), (-3...2).contains(number) else {
          throw items[1].error("the layer must be any, all or between -3 and 2")
        }
        layer = .index(number)
      }
    }
    reader.add(.vlanID(try NumericCondition.parse(items[0].bytes, max: 4095), layer))
  }

  private static let remoteCall: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    guard items.count <= 3 else { throw items[3].error("too many items") }
    func number(_ index: Int) throws(RuleValueError) -> UInt32? {
      guard index < items.count, items[index].text != "*" else { return nil }
      return UInt32(truncatingIfNeeded: try RuleNumber.unsigned(items[index].bytes, in: 0...UInt64(UInt32.max)))
    }
    guard let program = try number(0) else { throw items[0].error("the program must be a number") }
    reader.add(.remoteCall(RemoteCallCondition(program: program, version: try number(1), procedure: try number(2))))
  }

  // MARK: Checksums

  private static func checksum(
    _ place: ChecksumPlace, _ ipVersion: UInt8, _ ipProtocol: UInt8
  ) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      let word = try option.word().lowercased()
      guard word == "valid" || word == "invalid" else { throw RuleValueError("must be valid or invalid") }
      reader.add(
        .checksum(
          ChecksumCondition(
            place: place, ipVersion: ipVersion, ipProtocol: ipProtocol, isValid: word == "valid")))
    }
  }

  // MARK: Flags

  private static let flagLetters: [Character: UInt8] = [
    "F": TCPFields.fin, "S": TCPFields.syn, "R": TCPFields.rst, "P": TCPFields.psh,
    "A": TCPFields.ack, "U": TCPFields.urg, "E": TCPFields.ece, "2": TCPFields.ece,
    "C": TCPFields.cwr, "1": TCPFields.cwr, "0": 0,
  ]

  /// `S`, `+SA`, `*FR`, `!A`, `S,CE`.
  private static let flags: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    guard items.count <= 2 else { throw items[2].error("too many items") }
    var condition = TCPFlagsCondition(mode: .exactly, flags: 0, ignored: 0)
    for letter in items[0].text where letter != " " {
      switch letter {
      case "+": condition.mode = .all
      case "*": condition.mode = .any
      case "!": condition.mode = .not
      default:
        guard let flag = flagLetters[Character(letter.uppercased())] else {
          throw items[0].error("\(letter) is no TCP flag")
        }
        condition.flags |= flag
      }
    }
    if items.count == 2 {
      for letter in items[1].text where letter != " " {
        guard let flag = flagLetters[Character(letter.uppercased())] else {
          throw items[1].error("\(letter) is no TCP flag")
        }
        condition.ignored |= flag
      }
    }
    reader.add(.tcpFlags(condition))
  }

  private static let fragmentBits: KeywordHandler = { (reader, option) throws(RuleValueError) in
    var condition = FragmentBitsCondition(mode: .exactly, bits: 0)
    for letter in try option.word() where letter != " " {
      switch letter {
      case "+": condition.mode = .all
      case "*": condition.mode = .any
      case "!": condition.mode = .not
      case "M", "m": condition.bits |= FragmentBitsCondition.more
      case "D", "d": condition.bits |= FragmentBitsCondition.dont
      case "R", "r": condition.bits |= FragmentBitsCondition.reserved
      default: throw RuleValueError("\(letter) is no fragment bit", hint: "M, D and R")
      }
    }
    reader.add(.fragmentBits(condition))
  }

  private static let ipOptions: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let known: [String: IPOptionSet] = [
      "rr": .recordRoute, "lsrr": .looseSourceRoute, "ssrr": .strictSourceRoute, "eol": .endOfList,
      "nop": .noOperation, "ts": .timestamp, "sec": .security, "esec": .extendedSecurity,
      "satid": .streamID, "cipso": .commercialSecurity, "rtralt": .routerAlert,
    ]
    let word = try option.word()
    if word == "any" {
      reader.add(.anyIPOption)
    } else if let set = known[word] {
      reader.add(.ipOption(set))
    } else {
      throw RuleValueError("\(word) is no IP option")
    }
  }

  private static let protocolNumbers: [String: UInt8] = [
    "ip": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "ipip": 4, "tcp": 6, "egp": 8, "igp": 9,
    "pup": 12, "udp": 17, "hmp": 20, "rdp": 27, "dccp": 33, "ipv6": 41, "ipv6-route": 43,
    "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "icmp6": 58,
    "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "pim": 103,
    "vrrp": 112, "l2tp": 115, "sctp": 132, "udplite": 136, "mpls-in-ip": 137,
  ]

  private static let ipProtocol: KeywordHandler = { (reader, option) throws(RuleValueError) in
    var text = try option.word()
    var mode = IPProtocolCondition.Mode.equal
    switch text.first {
    case "!": mode = .notEqual
    case "<": mode = .less
    case ">": mode = .greater
    default: break
    }
    if mode != .equal { text = String(text.dropFirst()).trimmed }
    guard let number = UInt8(text) ?? protocolNumbers[text.lowercased()] else {
      throw RuleValueError("\(text) is no IP protocol")
    }
    let modes = reader.draft.conditions.compactMap { condition in
      if case .packet(.ipProtocol(let known)) = condition { known.mode } else { nil as IPProtocolCondition.Mode? }
    }
    guard modes.isEmpty || mode != .equal && !modes.contains(.equal) else {
      throw .misplaced("a rule that names one protocol has no other ip_proto")
    }
    reader.add(.ipProtocol(IPProtocolCondition(mode: mode, number: number)))
  }
}
