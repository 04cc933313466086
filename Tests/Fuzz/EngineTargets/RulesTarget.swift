import Detection
import RuleLanguage

enum RulesTarget {
  static func run(_ bytes: [UInt8]) {
    let file = RuleFile.parse(bytes, fileName: "f.rules", includeDisabled: true)
    for diagnostic in file.diagnostics { _ = diagnostic.description }
    // The first octet says how large pieces are, so that cuts fall anywhere.
    let whole = read(bytes, inPiecesOf: .max)
    precondition(read(bytes, inPiecesOf: 1 + Int(bytes.first ?? 0)) == whole, "cut, the file says something else")
    precondition(whole.count == file.rules.count + file.diagnostics.count, "read in pieces, the file says something else")
    _ = ClassificationFile.parse(bytes, fileName: "f")
    _ = ReferenceFile.parse(bytes, fileName: "f")
    _ = ThresholdFile.parse(bytes, fileName: "f")
    guard !file.rules.isEmpty else { return }
    var compiler = RuleCompiler(settings: RuleCompiler.Settings(), shared: SharedDetectionState())
    for rule in file.rules.prefix(16) { compiler.add(rule) }
    let compiled = compiler.finish()
    precondition(compiled.ruleSet.ruleCount <= file.rules.count)
    for diagnostic in compiled.diagnostics { _ = diagnostic.description }
  }

  /// What the reader finds in a file that is cut.
  private static func read(_ bytes: [UInt8], inPiecesOf count: Int) -> [String] {
    var cutter = RuleFileCutter(fileName: "f.rules", bytesWanted: count)
    cutter.add(bytes[...])
    cutter.finish()
    guard let first = cutter.next() else { return [] }
    var reader = RuleFileReader(first, includeDisabled: true)
    var found: [String] = []
    while true {
      while let item = reader.next() {
        switch item {
        case .rule(let rule):
          found.append("\(rule.location) \(rule.sid) " + rule.options.map { "\($0.location) \($0.name)" }.joined(separator: ";"))
        case .diagnostic(let diagnostic): found.append(diagnostic.description)
        }
      }
      guard let next = cutter.next() else { return found }
      reader.open(next)
    }
  }

  private static let texts = [
    #"alert tcp $HOME_NET any -> [10.0.0.0/8,!10.1.0.0/16,2001:db8::/32] [80,8080:8090,!8081] (msg:"one \"two\"\; three"; flow:established,to_server; content:!"|0d 0A|abc\\"; depth:12; pcre:"/^a\/[b"]+$/Ri"; dsize:1<>5; sid:1; rev:2;)"#,
    #"drop http any any -> any any (msg:"x"; http.uri; content:"/a"; startswith; fast_pattern:0,1; bsize:>3; http.header; content:"b"; within:5; http.request_body; byte_test:4,>,10,0,relative,string,dec; sid:2;)"#,
    #"alert http any any -> any any (msg:"x"; http.host; dotprefix; content:".a.b"; endswith; to_lowercase; pcre:"/a(?P<x>b+)/"; threshold: type both, track by_src, count 1, seconds 60; flowbits:set,a; sid:3;)"#,
    #"pass dns any any -> any any (dns.query; content:"a"; nocase; isdataat:!1,relative; metadata: a b, c d; reference:url,x.y/z; classtype:trojan-activity; priority:2; sid:4;)"#,
    #"reject tls any any -> any any (tls.sni; content:"a"; tls.version:1.2; ja3.hash; content:"00112233445566778899aabbccddeeff"; xbits:set,b,track ip_pair,expire 5; sid:5;)"#,
    #"alert tcp any any <> any !80 (content:"a"; offset:3; byte_jump:2,0,little,multiplier 2; byte_extract:1,2,v; byte_math:bytes 1,offset 0,oper +,rvalue v,result w; content:"b"; distance:w; base64_decode:bytes 8; base64_data; content:"c"; sid:6;)"#,
    #"alert icmp any any -> any any (itype:3<>5; icode:0; ttl:<5; ipopts:rr; fragbits:MD+; flags:SF,12; dataset:isset,d,type string; iprep:any,X,>,3; sid:7;)"#,
    "alert udp any any -> any 53 ( \\\r\n  msg:\"x\"; \\\n sid:8;)\n# alert udp any any -> any any (sid:9;)\n",
    "config classification: a-b,Some text, more,3\nconfig reference: cve http://x/\n",
    "suppress gen_id 1, sig_id 3, track by_src, ip [10.0.0.0/8,!10.1.1.1]\nrate_filter gen_id 1, sig_id 5, track by_rule, count 9, seconds 2, new_action drop, timeout 30\nevent_filter gen_id 1, sig_id 4, type limit, track by_dst, count 1, seconds 1\n",
  ]

  static var seeds: [(name: String, bytes: [UInt8])] {
    texts.enumerated().map { ("rule-\($0.offset)", Array($0.element.utf8)) }
  }
}
