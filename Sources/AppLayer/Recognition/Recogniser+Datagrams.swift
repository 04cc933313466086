import Traffic

extension Recogniser {
  /// On its port, by flags and counts alone: answers come without a question (RFC 6762 section 6).
  func mdns(_ bytes: [UInt8]) -> Answer {
    guard isPort(5353), bytes.count >= 12 else { return .none }
    func count(_ at: Int) -> Int { Int(bytes[at]) << 8 | Int(bytes[at + 1]) }
    let records = count(6) + count(8) + count(10)
    guard bytes[2] & 0x78 == 0, count(4) + records > 0,
      count(4) * 5 + records * 11 <= bytes.count - 12
    else { return .none }
    return .found(.mdns)
  }

  func dnsDatagram(_ bytes: [UInt8]) -> Answer { dnsMessage(bytes, 0..<bytes.count, isWhole: true) }

  /// A DNS message by its shape (RFC 1035 section 4.1): flags, counts and the first name make sense.
  ///
  /// - Parameters:
  ///   - place: where the message lies in `bytes`.
  ///   - isWhole: nothing of it is missing.
  func dnsMessage(_ bytes: [UInt8], _ place: Range<Int>, isWhole: Bool) -> Answer {
    // NetBIOS names and LLMNR have the same shape and another meaning.
    if isPort(137) || isPort(5355) { return .none }
    guard place.count >= 12 else { return isWhole ? .none : .needMore }
    let start = place.lowerBound
    func count(_ at: Int) -> Int { Int(bytes[start + at]) << 8 | Int(bytes[start + at + 1]) }
    let isResponse = bytes[start + 2] & 0x80 != 0
    let opcode = bytes[start + 2] >> 3 & 15
    let (queries, answers, authorities, additionals) = (count(4), count(6), count(8), count(10))
    let knowsPort = isPort(53)
    guard opcode <= 6, opcode != 3, bytes[start + 3] & 0x40 == 0 || knowsPort else { return .none }
    if !knowsPort, queries != 1 { return .none }
    if !isResponse, !knowsPort, answers > 0 || authorities > 0 || additionals > 2 { return .none }
    // Every record takes 11 octets at least, a question 5.
    if isWhole, queries * 5 + (answers + authorities + additionals) * 11 > place.count - 12 {
      return knowsPort && queries <= 1 ? oriented(isResponse) : .none
    }
    guard queries > 0 else { return knowsPort ? oriented(isResponse) : .none }
    return question(bytes, start + 12, until: place.upperBound, isWhole: isWhole, isResponse: isResponse)
  }

  private func question(_ bytes: [UInt8], _ start: Int, until end: Int, isWhole: Bool, isResponse: Bool) -> Answer {
    var i = start
    while true {
      guard i < end else { return isWhole ? .none : .needMore }
      let length = Int(bytes[i])
      if length == 0 { break }
      // A pointer ends the name; one in the first name leads forward, which no server minds.
      if length >= 0xc0, isPort(53) {
        i += 1
        break
      }
      guard length < 64, i - start < (isPort(53) ? 65_535 : 255) else { return .none }
      i += length + 1
    }
    guard i + 5 <= end else { return isWhole ? .none : .needMore }
    let kind = Int(bytes[i + 1]) << 8 | Int(bytes[i + 2])
    let family = (Int(bytes[i + 3]) << 8 | Int(bytes[i + 4])) & 0x7fff
    guard kind > 0 else { return .none }
    switch family {
    case 1, 3, 4, 254, 255: return oriented(isResponse)
    default: return isPort(53) ? oriented(isResponse) : .none
    }
  }

  private func oriented(_ isResponse: Bool) -> Answer {
    if isResponse == (direction == .toClient) { return .found(.dns) }
    // That the answer came first is believed on the port alone.
    return isPort(53) ? .foundReversed(.dns) : .none
  }

  /// The magic number of DHCP options (RFC 2131 section 3) behind a BOOTP header.
  func dhcp(_ bytes: [UInt8]) -> Answer {
    guard bytes.count >= 240, bytes[0] == 1 || bytes[0] == 2,
      bytes[236..<240].elementsEqual([99, 130, 83, 99])
    else { return .none }
    return .found(.dhcp)
  }

  /// RFC 5905 section 7.3: versions 1 to 4, a mode; only on its port, the shape is too common. Control and
  /// private messages have no timestamps.
  func ntp(_ bytes: [UInt8]) -> Answer {
    guard isPort(123), bytes.count >= 8, (1...4).contains(bytes[0] >> 3 & 7), bytes[0] & 7 > 0,
      bytes.count >= 48 || bytes[0] & 7 >= 6
    else { return .none }
    return .found(.ntp)
  }

  /// RFC 1350 section 5: a read or write request with its mode.
  func tftp(_ bytes: [UInt8]) -> Answer {
    guard bytes.count >= 9, bytes[0] == 0, bytes[1] == 1 || bytes[1] == 2,
      let nul = HTTPText.firstIndex(of: 0, in: bytes, 2..<bytes.count), nul > 2
    else { return .none }
    let modes: [StaticString] = ["octet", "netascii", "mail"]
    return modes.contains { HTTPText.hasPrefix(bytes, nul + 1..<bytes.count, $0) }
      ? .found(.tftp) : .none
  }

  /// RFC 3261 section 7: "SIP/2.0" begins a response and ends the first line of a request.
  func sip(_ bytes: [UInt8]) -> Answer {
    if HTTPText.hasPrefix(bytes, 0..<bytes.count, "sip/2.0 ") { return .found(.sip) }
    guard let end = HTTPText.firstIndex(of: HTTPText.lf, in: bytes, 0..<bytes.count) else {
      return .none
    }
    let line = HTTPText.trimmed(bytes, 0..<end)
    guard line.count > 8 else { return .none }
    return HTTPText.equals(bytes, line.upperBound - 7..<line.upperBound, "sip/2.0")
      ? .found(.sip) : .none
  }

  /// A long header with a version that is in use (RFC 9000 section 17.2, RFC 9369).
  func quic(_ bytes: [UInt8]) -> Answer {
    guard bytes.count >= 7, bytes[0] & 0xc0 == 0xc0 else { return .none }
    let version = bytes[1..<5].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let isKnown =
      version == 1 || version == 0x6b33_43cf || version >> 8 == 0xff_0000
      || (version >> 24 == 0x51 && version >> 16 & 0xff == 0x30)
    guard isKnown, bytes[5] <= 20 || version >> 24 == 0x51 else { return .none }
    return .found(.quic)
  }
}
