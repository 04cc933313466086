import Detection
import Engine
import FuzzTargets
import Glibc
import RuleLanguage

/// Lists that others keep: the first octet says of which kind, the rest is the file.
enum ListsTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let kind = reader.u8() % 10
    let file = reader.rest()
    let lineCount = file.count { $0 == 10 } + 1
    switch kind {
    case 0: names(file, lineCount)
    case 1:
      let faults = IPReputation(categories: ("c", file), lists: []).faults
      precondition(faults.count <= lineCount)
    case 2:
      let faults = IPReputation(categories: ("c", Array("1,a,b\n".utf8)), lists: [("l", file)]).faults
      precondition(faults.count <= lineCount)
    case 3:
      let thresholds = ThresholdFile.parse(file, fileName: "t")
      precondition(thresholds.entries.count + thresholds.diagnostics.count <= lineCount)
      for diagnostic in thresholds.diagnostics { precondition(!diagnostic.description.isEmpty) }
    case 4: dataset("type string", file)
    case 5: dataset("type md5", file)
    case 6: dataset("type ip", file)
    case 7: dataset("type string, format json, value_key a.b, array_key c", file)
    case 8: dataset("type ipv4, format ndjson, value_key a, context_key k, remove_key", file)
    default:
      precondition(ClassificationFile.parse(file, fileName: "f").diagnostics.count <= lineCount)
      precondition(ReferenceFile.parse(file, fileName: "f").diagnostics.count <= lineCount)
    }
  }

  /// A name of the list is covered by it, and so is a name below.
  private static func names(_ file: [UInt8], _ lineCount: Int) {
    let text = String(decoding: file, as: UTF8.self)
    switch NameList.parse(text) {
    case .success(let list):
      precondition(list.count <= lineCount)
      for line in text.split(whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
        let word = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).first.map(String.init)
        guard let name = word else { continue }
        if list.covering(name) == nil { violated("\(name) is in the list and not covered") }
      }
    case .failure(let error): precondition(error.line >= 1 && error.line <= lineCount)
    }
  }

  /// A rule that loads the file: there is a rule, or a reason why there is none.
  private static func dataset(_ options: String, _ file: [UInt8]) {
    withPipe(file) { path in
      let text = "alert dns any any -> any any (dns.query; dataset:isset,d,\(options),load \(path); sid:1;)"
      var compiler = RuleCompiler(settings: RuleCompiler.Settings(), shared: SharedDetectionState())
      for rule in RuleFile.parse(text, fileName: "d.rules").rules { compiler.add(rule) }
      let compiled = compiler.finish()
      precondition(compiled.ruleSet.ruleCount == 1 || !compiled.diagnostics.isEmpty)
      for diagnostic in compiled.diagnostics { precondition(!diagnostic.description.isEmpty) }
    }
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let files: [(String, UInt8, String)] = [
      ("names", 0, "# mail\n*.a.example\n.b.example # x\nC.Example.\n"), ("names-crlf", 0, "a.example\r\nb.example\r\n"),
      ("categories", 1, "1,Bad,bad hosts\n59,Good,\n60,no,no\n"),
      ("reputation", 2, "192.0.2.1,1,127\n10.0.0.0/8,1,5\n2001:db8::/32,1,3\n::1,1,1\nx,1,1\n"),
      ("thresholds", 3, """
        suppress gen_id 1, sig_id 3, track by_src, ip [10.0.0.0/8,!10.1.1.1]
        rate_filter gen_id 1, sig_id 5, track by_rule, count 9, seconds 2, new_action drop, timeout 30
        event_filter gen_id 1, sig_id 4, type backoff, track by_dst, count 1, multiplier 10
        threshold gen_id 0, sig_id 0, type both, track by_flow, count 1, seconds 4294967296
        """),
      ("strings", 4, "d3d3LmV4YW1wbGUuY29t,12\nYQ==\n"), ("hashes", 5, "00112233445566778899aabbccddeeff,65535\n"),
      ("addresses", 6, "192.0.2.1\n2001:db8::1\n::ffff:10.0.0.1\n"),
      ("json", 7, #"{"c":[{"a":{"b":"x\u0041\n"},"k":1},{"a":{"b":"\ud83d"}},{"a":[]}]}"#),
      ("ndjson", 8, #"{"a":"192.0.2.1","k":{"x":[1,-2.5e3,true,null]}}"# + "\n" + #"{"a":"10.0.0.1"}"#),
      ("classification", 9, "config classification: a-b,Some text, more,3\nconfig reference: cve http://x/\n"),
    ]
    return files.map { ($0.0, [$0.1] + Array($0.2.utf8)) }
  }
}

/// Lends a file that can be read once, and has no place on a disk: the end of a pipe that holds all of it.
private func withPipe(_ bytes: [UInt8], _ body: (_ path: String) -> Void) {
  var ends: [Int32] = [-1, -1]
  // What a pipe holds by itself.
  guard bytes.count < 65_536, unsafe pipe(&ends) == 0 else { return }
  defer { close(ends[0]) }
  // SAFETY: the array's own octets, as many as it has.
  let written = unsafe write(ends[1], bytes, bytes.count)
  close(ends[1])
  if written == bytes.count { body("/proc/self/fd/\(ends[0])") }
}
