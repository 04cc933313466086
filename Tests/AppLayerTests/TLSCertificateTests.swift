import AppLayer
import TestSupport
import Testing
import Traffic

/// Self-signed, P-256, made for these tests: C=US, ST=Ohio, O="Example, Inc.", CN=example.com,
/// emailAddress; serial 97E647098EEAC9B4; four alternative names; valid 2026-11-21 to 2036-11-18.
let exampleCertificate = [UInt8](
  hex: """
    30820259308201fea00302010202090097e647098eeac9b4300a06082a8648ce3d0403023068310b
    3009060355040613025553310d300b06035504080c044f68696f31163014060355040a0c0d457861
    6d706c652c20496e632e3114301206035504030c0b6578616d706c652e636f6d311c301a06092a86
    4886f70d010901160d61406578616d706c652e636f6d301e170d3236313132313033323633365a17
    0d3336313131383033323633365a3068310b3009060355040613025553310d300b06035504080c04
    4f68696f31163014060355040a0c0d4578616d706c652c20496e632e3114301206035504030c0b65
    78616d706c652e636f6d311c301a06092a864886f70d010901160d61406578616d706c652e636f6d
    3059301306072a8648ce3d020106082a8648ce3d03010703420004813b921703785c2d19aa708b36
    65d29d7c52eea4651473384547e8a5f50c8ea05805f7a2cec8d64056de713d94917121d6725234c5
    35b5ee90ef25f3cae232fea3819030818d301d0603551d0e041604148008034de07e10c27ec191e1
    9c7e73ed643c6100301f0603551d230418301680148008034de07e10c27ec191e19c7e73ed643c61
    00300f0603551d130101ff040530030101ff303a0603551d1104333031820b6578616d706c652e63
    6f6d820d2a2e6578616d706c652e636f6d8704c0000201810d61406578616d706c652e636f6d300a
    06082a8648ce3d0403020349003046022100f4b24d2f540fb6bca5845a3421083594aa1d1aaa89dd
    8ac3f3bf8cc76bf9b601022100f595718742381ca5a3e17e8582c24c06618c0f51104380fb2f5e2f
    5951e77fca
    """)

/// A DER element with a length of one or two octets.
private func der(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
  content.count < 128
    ? [tag, UInt8(content.count)] + content : [tag, 0x82] + content.prefixed(octets: 2)
}

private func attribute(_ oid: [UInt8], _ tag: UInt8, _ value: [UInt8]) -> [UInt8] {
  der(0x30, der(0x06, oid) + der(tag, value))
}

/// A certificate of just the fields that are read.
private func certificate(
  serial: [UInt8] = [1], name: [UInt8], from: [UInt8], to: [UInt8], extensions: [UInt8] = []
) -> [UInt8] {
  let fields =
    der(0xa0, der(0x02, [2])) + der(0x02, serial) + der(0x30, der(0x06, [0x2a]))
    + der(0x30, name) + der(0x30, from + to) + der(0x30, name) + der(0x30, [])
    + (extensions.isEmpty ? [] : der(0xa3, der(0x30, extensions)))
  return der(0x30, der(0x30, fields))
}

private let someTime = der(0x17, Array("260101000000Z".utf8))

@Test func `unusual names are written without losing anything`() throws {
  let name =
    // One set with two attributes: O and OU.
    der(0x31, attribute([0x55, 4, 10], 0x13, Array("A".utf8)) + attribute([0x55, 4, 11], 0x0c, [0x42]))
    // DC, IA5String.
    + der(0x31, attribute([0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], 0x16, [0x63]))
    // CN as BMPString: "é".
    + der(0x31, attribute([0x55, 4, 3], 0x1e, [0x00, 0xe9]))
    // 1.2.840.113549.2 with an integer; CN with a zero octet and one that is not UTF-8.
    + der(0x31, attribute([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2], 0x02, [0x0a, 0xff]))
    + der(0x31, attribute([0x55, 4, 3], 0x14, [0x41, 0x00, 0xe9]))
  let bytes = certificate(name: name, from: someTime, to: someTime)
  let read = Certificate(parsing: bytes.rawSpan)
  let parsed = try #require(read)
  #expect(
    parsed.subject == Array("O=A + OU=B, DC=c, CN=é, OID(1.2.840.113549.2)=0AFF, CN=A".utf8)
      + [0x00, 0xe9])
  #expect(parsed.oddities.isEmpty)
}

@Test func `times of both forms and all centuries are read`() throws {
  for (tag, text, seconds) in [
    (UInt8(0x17), "700101000000Z", Int64(0)), (0x17, "691231235959Z", -1),
    (0x17, "500101000000Z", -631_152_000), (0x17, "491231235959Z", 2_524_607_999),
    (0x18, "20000229120000Z", 951_825_600), (0x18, "99991231235959Z", 253_402_300_799),
    (0x17, "2601010000Z", 1_767_225_600),
  ] {
    let time = der(tag, Array(text.utf8))
    let bytes = certificate(name: [], from: time, to: time)
    let read = Certificate(parsing: bytes.rawSpan)
    let parsed = try #require(read)
    // Two digits below 50 are of this century (RFC 5280).
    #expect(parsed.notBefore == seconds, "\(text)")
  }
  for text in ["", "2601", "26130100000Z", "260132000000Z", "2x0101000000Z"] {
    let time = der(0x17, Array(text.utf8))
    let bytes = certificate(name: [], from: time, to: time)
    let read = Certificate(parsing: bytes.rawSpan)
    #expect(read?.oddities == ["certificate_invalid_date"])
  }
}

@Test func `alternative names stop at their limit`() throws {
  let names = (0..<300).flatMap { _ in der(0x82, Array("a.example".utf8)) }
  let extensions = der(0x30, der(0x06, [0x55, 0x1d, 0x11]) + der(0x04, der(0x30, names)))
  let bytes = certificate(name: [], from: someTime, to: someTime, extensions: extensions)
  let read = Certificate(parsing: bytes.rawSpan)
  let parsed = try #require(read)
  #expect(parsed.subjectAltNames.count == Certificate.subjectAltNameCountMax)
  #expect(parsed.oddities == ["too_many_subject_alternative_names"])
}

@Test func `a certificate cut anywhere is read as far as it goes`() {
  for count in 0..<exampleCertificate.count {
    let parsed = Certificate(parsing: Array(exampleCertificate.prefix(count)).rawSpan)
    // The outer lengths no longer hold, so nothing is taken for granted.
    #expect(parsed == nil)
  }
  let whole = Certificate(parsing: exampleCertificate.rawSpan)
  #expect(whole?.oddities == [])
}

@Test func `no damage to a certificate stops its reader`() {
  var mutator = Mutator(seed: 0x509)
  mutator.forEachMutation(of: exampleCertificate, count: 50_000) { bytes in
    if let parsed = Certificate(parsing: bytes.rawSpan) {
      #expect(parsed.subjectAltNames.count <= Certificate.subjectAltNameCountMax)
    }
  }
}
