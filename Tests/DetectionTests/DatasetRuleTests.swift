import AppLayer
import Foundation
import Testing
import Traffic

@testable import Detection

/// A file of its own for one test.
private func temporaryFile(_ text: String) throws -> String {
  let path = NSTemporaryDirectory() + "dataset-\(UUID().uuidString)"
  try text.write(toFile: path, atomically: true, encoding: .utf8)
  return path
}

private func query(_ bench: Bench, _ name: String) -> [UInt32] {
  let dns = StubTransaction(.dns, complete: 1)
  dns.set(.dnsQueryName, name)
  dns.reach(1)
  return bench.transaction(dns)
}

@Suite struct DatasetRuleTests {
  @Test func `a loaded set is looked up by its values`() throws {
    // evil.com, and a value that is none of the test's.
    let file = try temporaryFile("ZXZpbC5jb20=\n\nZ29vZC5jb20=\r\n")
    let bench = Bench(
      """
      alert dns any any -> any any (dns.query; dataset:isset,bad,type string,load \(file); sid:1;)
      alert dns any any -> any any (dns.query; dataset:isnotset,bad; sid:2;)
      """)
    #expect(bench.refusals == [])
    #expect(query(bench, "evil.com") == [1])
    #expect(query(bench, "www.evil.com") == [2])
  }

  @Test func `set holds for a new value alone and unset for a known one`() {
    let bench = Bench(
      """
      alert dns any any -> any any (dns.query; dataset:set,seen,type string; sid:1;)
      alert dns any any -> any any (dns.query; content:"forget"; dataset:unset,seen; sid:2;)
      """)
    #expect(query(bench, "a.org") == [1])
    #expect(query(bench, "a.org") == [])
    #expect(query(bench, "forget.org") == [1, 2])
    #expect(query(bench, "forget.org") == [1, 2])
  }

  @Test func `digests are looked up in their binary form`() throws {
    // MD5 of google.com.
    let file = try temporaryFile("1d5920f4b44b27a802bd77c4f0536f5a,255\n5ababd603b22780302dd8d83498e5172,100\n")
    let bench = Bench(
      "alert dns any any -> any any (dns.query; to_md5; datarep:rep,>,200,load \(file),type md5; sid:1;)")
    #expect(bench.refusals == [])
    #expect(query(bench, "google.com") == [1])
    #expect(query(bench, "google.org") == [])
  }

  @Test func `reputations compare`() throws {
    let file = try temporaryFile("YQ==,10\nYg==,20\n")
    for (sign, expected) in [("<", "a"), ("==", "b"), (">", "")] {
      let bench = Bench(
        "alert dns any any -> any any (dns.query; datarep:r,\(sign),\(sign == "<" ? 11 : 20),load \(file),type string; sid:1;)")
      for name in ["a", "b", "c"] { #expect(query(bench, name) == (name == expected ? [1] : []), "\(sign) \(name)") }
    }
  }

  @Test func `names below those of a set match where the rule asks for it`() throws {
    let file = try temporaryFile("LmV2aWwuY29t\n")  // .evil.com
    let bench = Bench(
      "alert dns any any -> any any (dns.query; dotprefix; dataset:isset,d,type string,match subdomain,load \(file); sid:1;)")
    #expect(query(bench, "evil.com") == [1])
    #expect(query(bench, "a.b.evil.com") == [1])
    #expect(query(bench, "notevil.com") == [])
  }

  @Test func `what a set in JSON knows of a value goes to the alert`() throws {
    let lines = """
      {"ioc": {"host": "evil.com"}, "year": 2005, "note": "a \\"b\\""}
      {"ioc": {"host": "other.com"}}
      """
    let file = try temporaryFile(lines)
    let bench = Bench(
      """
      alert dns any any -> any any (dns.query; dataset:isset,j,type string,load \(file),format ndjson,context_key ioc,value_key ioc.host,remove_key; sid:1;)
      """)
    #expect(bench.refusals == [])
    #expect(query(bench, "evil.com") == [1])
    let context = bench.lastAlerts.first?.captures.first
    #expect(context?.name == "ioc")
    #expect(context.map { String(decoding: $0.bytes, as: UTF8.self) } == #"{"ioc":{},"year":2005,"note":"a \"b\""}"#)
    #expect(query(bench, "none.com") == [])
  }

  @Test func `an array under a key of a JSON file is a set too`() throws {
    let file = try temporaryFile(#"{"response": {"threats": [{"host": "evil.com"}, {"host": "a"}]}}"#)
    let bench = Bench(
      "alert dns any any -> any any (dns.query; dataset:isset,j,type string,load \(file),format json,value_key host,array_key response.threats; sid:1;)")
    #expect(query(bench, "evil.com") == [1])
    #expect(query(bench, "b") == [])
  }

  @Test func `addresses of packets are looked up as IPv4 whichever way files spell them`() throws {
    let file = try temporaryFile("::ffff:1.2.3.4\n")
    let bench = Bench(
      """
      alert ip any any -> any any (ip.dst; dataset:isset,a,type ip,load \(file); sid:1;)
      alert ip any any -> any any (ip.src; dataset:isset,a,type ip; sid:2;)
      """)
    #expect(bench.refusals == [])
    var packet = bench.packet
    packet.networkOffset = 0
    packet.networkHeaderLength = 20
    // An IPv4 header: nothing but its addresses is looked at, 192.168.0.1 and 1.2.3.4.
    let header: [UInt8] = [0x45] + Array(repeating: 0, count: 11) + [192, 168, 0, 1, 1, 2, 3, 4]
    #expect(bench.raw(packet, header) == [1])
    // One octet short: there is no destination.
    #expect(bench.raw(packet, Array(header.dropLast())) == [])
  }

  @Test func `rules that cannot be meant are refused`() throws {
    let file = try temporaryFile("not base64 but *\n*\n")
    for (option, word) in [
      ("dataset:isset,a", "type"), ("dataset:isset,a,type number", "type number"),
      ("dataset:maybe,a,type string", "command"), ("dataset:set,a,type string,state ../x", "below"),
      ("dataset:isset,a,type string,load /nonexistent/a", "cannot be read"),
      ("dataset:isset,a,type md5,load \(file)", "line 1"), ("datarep:a,!,1,type string", "operator"),
      ("datarep:a,>,65536,type string", "65535"), ("dataset:isset,a,type string,colour red", "colour"),
      ("dataset:isset,a,type string,memcap 1025gb", "no size"), ("dataset:isset,a,type string,memcap 9x", "no size"),
    ] {
      let bench = Bench("alert dns any any -> any any (dns.query; \(option); sid:1;)")
      #expect(bench.refusals.first?.contains(word) == true, "\(option): \(bench.refusals)")
    }
    #expect(Bench("alert dns any any -> any any (dataset:set,a,type string; sid:1;)").refusals.count == 1)
    let two = Bench(
      """
      alert dns any any -> any any (dns.query; dataset:set,a,type string; sid:1;)
      alert dns any any -> any any (dns.query; dataset:set,a,type md5; sid:2;)
      """)
    #expect(two.refusals.count == 1)
  }

  @Test func `what rules set is saved in the form that is loaded`() throws {
    let folder = NSTemporaryDirectory() + "datasets-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let rule = "alert dns any any -> any any (dns.query; dataset:set,s,type string,state s.lst; sid:1;)"
    let shared = SharedDetectionState()
    shared.names.datasets.setDirectory(folder)
    #expect(query(Bench(rule, shared: shared), "evil.com") == [1])
    #expect(shared.names.datasets.save() == [])
    #expect(try String(contentsOfFile: folder + "/s.lst", encoding: .utf8) == "ZXZpbC5jb20=\n")
    let next = SharedDetectionState()
    next.names.datasets.setDirectory(folder)
    #expect(query(Bench(rule, shared: next), "evil.com") == [])
  }

  @Test func `a full set refuses more and counts it`() {
    let dataset = Dataset(name: "small", kind: .string, memcapBytes: 140)
    #expect(dataset.add(Array("one".utf8)))
    #expect(dataset.add(Array("two".utf8)))
    #expect(!dataset.add(Array("three".utf8)))
    #expect(dataset.refusedCount == 1)
    #expect(dataset.remove(Array("one".utf8)))
    #expect(dataset.add(Array("three".utf8)))
  }

  @Test func `JSON that is none is refused wherever it breaks`() {
    let whole = #"{"a":[1,-2.5e3,"x\"y",true,null],"b":{}}"#
    #expect(JSONValue(Array(whole.utf8)[...])?.written == Array(whole.utf8))
    for count in 1..<whole.utf8.count {
      #expect(JSONValue(Array(whole.utf8.prefix(count))[...]) == nil, "\(count)")
    }
    let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    #expect(JSONValue(Array(deep.utf8)[...]) == nil)
  }
}
