import AppLayer
import Foundation
import Testing
import Traffic

func str(_ b: [UInt8]?) -> String { b.map { String(decoding: $0, as: UTF8.self) } ?? "-" }

@Test func explore() throws {
  guard let dir = ProcessInfo.processInfo.environment["EXPLORE"] else { return }
  for file in try FileManager.default.contentsOfDirectory(atPath: dir).sorted() {
    print("#### \(file)")
    let text = try String(contentsOfFile: dir + "/" + file, encoding: .utf8)
    var parser: AppLayerParser?
    var isDNS = false
    func report() {
      guard let parser else { return }
      if let tls = parser as? TLSParser, let t = tls.transaction {
        print("tls v=\(t.version.name) sni=\(str(t.clientHello?.serverName)) subj=\(str(t.serverCertificates?.leaf?.subject)) issuer=\(str(t.serverCertificates?.leaf?.issuer)) serial=\(str(t.serverCertificates?.leaf?.serial)) fp=\(str(t.serverCertificates?.fingerprint)) nb=\(t.serverCertificates?.leaf?.notBefore ?? 0) na=\(t.serverCertificates?.leaf?.notAfter ?? 0) n=\(t.serverCertificates?.count ?? 0) sans=\(t.serverCertificates?.leaf?.subjectAltNames.count ?? 0) resumed=\(t.isResumed) prog=\(t.progress) enc=\(tls.isEncrypted) fail=\(tls.hasFailed) ev=\(t.events.map(\.name)) ja3=\(str(t.ja3)) \(str(t.ja3Hash)) ja3s=\(str(t.ja3s)) \(str(t.ja3sHash)) ja4=\(str(t.ja4)) client=\(str(t.clientCertificates?.leaf?.subject)) alpn=\((t.clientHello?.alpn ?? []).map{str($0)}) \((t.serverHello?.alpn ?? []).map{str($0)})")
      } else {
        for case let t as DNSTransaction in parser.transactions {
          let m = t.message
          print("dns \(t.direction) id=\(m.id) flags=\(String(m.flags, radix: 16)) q=\(m.queries.map { "\(str($0.name.text)):\($0.type)\($0.name.isTruncated ? "T" : "")" }) an=\(m.answers.map { "\(str($0.name.text)):\($0.type)" }) au=\(m.authorities.count) ad=\(m.additionals.count) ev=\(t.events.map(\.name))")
        }
      }
    }
    for line in text.split(separator: "\n") {
      let f = line.split(separator: " ")
      if f[0] == "FLOW" {
        report()
        isDNS = f[2] == "53" || f[3] == "53" || f[3] == "5353" || f[3] == "1053"
        parser = isDNS ? DNSParser(framing: f[1] == "6" ? .stream : .datagram, appProtocol: f[3] == "5353" ? .mdns : .dns) : f[1] == "6" ? TLSParser() : nil
        continue
      }
      let hex = Array(f[1].utf8)
      func n(_ c: UInt8) -> UInt8 { c < 58 ? c - 48 : c - 87 }
      let bytes = stride(from: 0, to: hex.count, by: 2).map { n(hex[$0]) << 4 | n(hex[$0 + 1]) }
      parser?.consume(StreamChunk(bytes: bytes.rawSpan, direction: f[0] == "0" ? .toServer : .toClient, offset: 0, time: Timestamp(nanoseconds: 0)))
    }
    report()
  }
}
