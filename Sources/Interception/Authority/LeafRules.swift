/// What the holder of the authority's key signs: leaves of this authority, and nothing that could sign in turn.
///
/// Whoever takes over the daemon can have leaves signed, as the daemon can, but no authority beside this one, and nothing that is no
/// certificate. The octets are read here and never by OpenSSL.
/// - Source: RFC 5280 sections 4.1 and 4.2; X.690 for the encoding.
struct LeafRules: Sendable {
  /// DER of the authority's name.
  let issuer: [UInt8]
  let algorithm: SignatureAlgorithm

  static let extensionCountMax = 16
  /// RFC 5280 section 4.1.2.2.
  static let serialBytesMax = 20

  /// - Returns: nil where `toBeSigned` is a leaf; else what is wrong with it.
  func objection(to toBeSigned: ArraySlice<UInt8>) -> String? {
    guard var rest = DERElement.only(toBeSigned, tag: 0x30) else { return "no certificate" }
    guard let version = DERElement.next(&rest), version.tag == 0xa0, version.content.elementsEqual([2, 1, 2]) else {
      return "not version 3"
    }
    guard let serial = DERElement.next(&rest), serial.tag == 2, (1...Self.serialBytesMax).contains(serial.content.count),
      (1...0x7f).contains(serial.content.first ?? 0)
    else { return "no positive serial number" }
    guard let algorithm = DERElement.next(&rest), algorithm.whole.elementsEqual(self.algorithm.der) else { return "another algorithm" }
    guard let issuer = DERElement.next(&rest), issuer.whole.elementsEqual(self.issuer) else { return "another issuer" }
    // Dates, subject and key are the daemon's to choose.
    for _ in 0..<3 {
      guard let element = DERElement.next(&rest), element.tag == 0x30 else { return "no certificate" }
    }
    guard let wrapped = DERElement.next(&rest), wrapped.tag == 0xa3, rest.isEmpty,
      var extensions = DERElement.only(wrapped.content, tag: 0x30)
    else { return "no extensions, or more than those" }
    return objection(toExtensions: &extensions)
  }

  private func objection(toExtensions rest: inout ArraySlice<UInt8>) -> String? {
    var known: Set<[UInt8]> = []
    var isLeaf = false
    while !rest.isEmpty {
      guard known.count < Self.extensionCountMax, let element = DERElement.next(&rest), element.tag == 0x30 else {
        return "extensions that can't be read"
      }
      var parts = element.content
      guard let kind = DERElement.next(&parts), kind.tag == 6, known.insert(Array(kind.content)).inserted,
        var value = DERElement.next(&parts)
      else { return "extensions that can't be read" }
      if value.tag == 1 {
        guard let next = DERElement.next(&parts) else { return "extensions that can't be read" }
        value = next
      }
      guard value.tag == 4, parts.isEmpty else { return "extensions that can't be read" }
      if kind.content.elementsEqual(Self.basicConstraints) {
        // An empty SEQUENCE: CA is FALSE by default.
        guard value.content.elementsEqual([0x30, 0]) else { return "an authority" }
        isLeaf = true
      }
      if kind.content.elementsEqual(Self.keyUsage), !Self.isLeafUsage(value.content) { return "a key that signs certificates" }
    }
    return isLeaf ? nil : "not said to be a leaf"
  }

  // 2.5.29.19 and 2.5.29.15.
  private static let basicConstraints: [UInt8] = [0x55, 0x1d, 0x13]
  private static let keyUsage: [UInt8] = [0x55, 0x1d, 0x0f]

  /// A BIT STRING; bits 5 and 6 of its first octet are keyCertSign and cRLSign.
  private static func isLeafUsage(_ value: ArraySlice<UInt8>) -> Bool {
    guard let bits = DERElement.only(value, tag: 3), bits.count >= 2 else { return false }
    return bits[bits.startIndex + 1] & 0x06 == 0
  }
}

/// One element of DER: tags of one octet, definite lengths of up to three.
struct DERElement {
  var tag: UInt8
  var content: ArraySlice<UInt8>
  var whole: ArraySlice<UInt8>

  /// Takes the first element; nil where there is none, or it is cut short.
  static func next(_ bytes: inout ArraySlice<UInt8>) -> DERElement? {
    guard bytes.count >= 2 else { return nil }
    let start = bytes.startIndex
    let first = Int(bytes[start + 1])
    var (head, size) = (2, first)
    if first >= 0x80 {
      let octets = first & 0x7f
      guard (1...3).contains(octets), bytes.count >= 2 + octets else { return nil }
      size = bytes[start + 2..<start + 2 + octets].reduce(0) { $0 << 8 | Int($1) }
      head += octets
    }
    guard bytes.count - head >= size else { return nil }
    let whole = bytes[start..<start + head + size]
    defer { bytes = bytes[whole.endIndex...] }
    return DERElement(tag: bytes[start], content: whole[(start + head)...], whole: whole)
  }

  /// The content of an element that is all there is.
  static func only(_ bytes: ArraySlice<UInt8>, tag: UInt8) -> ArraySlice<UInt8>? {
    var rest = bytes
    guard let element = next(&rest), element.tag == tag, rest.isEmpty else { return nil }
    return element.content
  }
}
