import Traffic

/// The address and port that a command or reply of FTP names.
enum FTPAddress {
  /// `h1,h2,h3,h4,p1,p2`, from the first digit on.
  ///
  /// - Source: RFC 959 section 4.1.2, PORT; RFC 1123 section 4.1.2.6: what stands around the numbers of a 227 varies.
  static func sixNumbers(_ text: ArraySlice<UInt8>) -> (address: IPAddress, port: UInt16)? {
    var parts: [UInt32] = []
    var number: UInt32?
    for byte in text.drop(while: { !HTTPText.isDigit($0) }) {
      if HTTPText.isDigit(byte) {
        // Below 256 times ten and nine: no overflow.
        let next = (number ?? 0) &* 10 &+ UInt32(byte &- 48)
        guard next < 256 else { return nil }
        number = next
      } else if byte == UInt8(ascii: ","), let part = number {
        parts.append(part)
        number = nil
        if parts.count == 6 { break }
      } else if !HTTPText.isBlank(byte) {
        break
      }
    }
    if let part = number { parts.append(part) }
    guard parts.count == 6 else { return nil }
    let address = parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]
    return (IPAddress(ipv4: address), UInt16(parts[4] << 8 | parts[5]))
  }

  /// `|2|2001:db8::1|41813|`.
  ///
  /// - Source: RFC 2428 section 2, EPRT: the first octet parts the others, whatever it is.
  static func extended(_ text: ArraySlice<UInt8>) -> (address: IPAddress?, port: UInt16)? {
    let text = text.drop { HTTPText.isBlank($0) }
    guard let mark = text.first, !HTTPText.isDigit(mark) else { return nil }
    let parts = text.dropFirst().split(separator: mark, maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count >= 3, let port = port(parts[2]) else { return nil }
    return (IPAddress(String(decoding: parts[1], as: UTF8.self)), port)
  }

  /// `Entering Extended Passive Mode (|||58612|)`.
  /// - Source: RFC 2428 section 3.
  static func extendedPassive(_ text: ArraySlice<UInt8>) -> UInt16? {
    guard let open = text.firstIndex(of: UInt8(ascii: "(")), open + 1 < text.endIndex else { return nil }
    let inside = text[(open + 1)...]
    guard let mark = inside.first, !HTTPText.isDigit(mark) else { return nil }
    let parts = inside.dropFirst().split(separator: mark, maxSplits: 3, omittingEmptySubsequences: false)
    return parts.count >= 3 ? port(parts[2]) : nil
  }

  private static func port(_ digits: ArraySlice<UInt8>) -> UInt16? {
    guard (1...5).contains(digits.count), digits.allSatisfy(HTTPText.isDigit) else { return nil }
    // At most five digits: no overflow.
    let value = digits.reduce(UInt32(0)) { $0 &* 10 &+ UInt32($1 &- 48) }
    return value > 0 ? UInt16(exactly: value) : nil
  }
}
