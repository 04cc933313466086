extension KeywordCatalog {
  /// - Source: Suricata "Meta Keywords", "Prefiltering Keywords".
  static let metaKeywords: [KeywordDescription] = [
    meta("msg", "\"TEXT\"", "What the alert says.", "msg:\"example\";"),
    meta("sid", "NUMBER", "Number of the rule; each rule of a generator has its own.", "rev:1;"),
    meta("gid", "NUMBER", "Generator of the rule, 1 unless set.", "gid:1;"),
    meta("rev", "NUMBER", "Revision of the rule: of two with one sid the higher is loaded.", "rev:2;"),
    meta("classtype", "NAME", "Class in the classification file; gives the alert its category and priority.", "classtype:trojan-activity;"),
    meta("priority", "1…255", "Priority, 1 the highest; beats that of the class.", "priority:2;"),
    meta("reference", "KIND,IDENTIFIER", "Where to read more.", "reference:url,example.com/a;"),
    meta("metadata", "KEY VALUE,…", "What people and other programs should know of the rule; told in alerts.", "metadata:created_at 2026_01_01, confidence High;"),
    meta("target", "src_ip|dest_ip", "Which side is attacked; told in alerts.", "target:dest_ip;"),
    meta("requires", "version …|keyword …", "The rule is loaded only where these are met.", "requires:version >= 7.0;"),
    meta("noalert", "", "The rule acts and sets variables but is not told.", "noalert;"),
    meta("alert", "", "The rule is told, even where it passes.", "alert;"),
    KeywordDescription(
      "config", kind: .meta, syntax: "logging disable, type tx|flow, scope tx|flow",
      summary: "No record is written of the transaction that matches, of the flow's transactions, or of the flow.",
      example: "config:logging disable, type tx, scope tx;", source: keywordFile("ConfigKeywords")),
    meta("bypass", "", "The rest of the flow goes by uninspected.", "bypass;"),
    meta("nfq_set_mark", "MARK/MASK", "Puts these bits into the mark of the packet, where it goes on; those that Sluice itself uses stay.", "nfq_set_mark:0x8/0xf8;"),
    meta("tag", "session|host[,NUMBER,packets|seconds|bytes[,src|dst]]", "The packets that follow are told with the alert.", "tag:session,10,packets;"),
    meta("prefilter", "", "A wish about speed; how rules are found is decided by Sluice.", "prefilter;"),
  ]

  /// - Source: Suricata "Flow Keywords".
  static let flowKeywords: [KeywordDescription] = [
    flow("flow", "OPTION,…", "Direction and state of the flow: to_server, to_client, established, not_established, stateless, only_stream, no_stream, only_frag, no_frag.", "flow:established,to_server;"),
    flow("flow.age", "CONDITION", "Seconds since the flow began.", "flow.age:>10;"),
    flow("flow.pkts", "toserver|toclient|either|both,CONDITION", "Packets of the flow so far.", "flow.pkts:toserver,>5;"),
    flow("flow.bytes", "toserver|toclient|either|both,CONDITION", "Octets of the flow so far, headers included.", "flow.bytes:toclient,>1000;"),
    flow("flow.pkts_toserver", "CONDITION", "Packets of the flow to the server so far.", "flow.pkts_toserver:>5;"),
    flow("flow.pkts_toclient", "CONDITION", "Packets of the flow to the client so far.", "flow.pkts_toclient:>5;"),
    flow("flow.bytes_toserver", "CONDITION", "Octets of the flow to the server so far.", "flow.bytes_toserver:>1000;"),
    flow("flow.bytes_toclient", "CONDITION", "Octets of the flow to the client so far.", "flow.bytes_toclient:>1000;"),
    flow("flow.elephant", "toserver|toclient|either|both", "The flow carries, or has carried, more than `flow.rate-tracking` allows.", "flow.elephant:toclient;"),
    KeywordDescription(
      "stream_size", kind: .flow, protocols: ["tcp"], way: .both, syntax: "server|client|both|either,OPERATOR,NUMBER",
      summary: "Octets of TCP stream sent by a side so far.", example: "stream_size:server,>,1024;",
      source: keywordFile("FlowKeywords")),
  ]

  /// - Source: Suricata "Thresholding Keywords".
  static let thresholds: [KeywordDescription] = [
    KeywordDescription(
      "threshold", kind: .threshold, syntax: "type limit|threshold|both|backoff, track by_…, count N, seconds S",
      summary: "How often the rule is told.", example: "threshold:type limit, track by_src, count 1, seconds 60;",
      source: keywordFile("FlowKeywords")),
    KeywordDescription(
      "detection_filter", kind: .threshold, syntax: "track by_…, count N, seconds S",
      summary: "The rule counts as matched only after so many matches in a time.",
      example: "detection_filter:track by_src, count 5, seconds 60;", source: keywordFile("FlowKeywords")),
  ]

  /// - Source: Suricata "Flow Keywords" (flowbits, flowint), "Xbits Keyword".
  static let variables: [KeywordDescription] = [
    variable("flowbits", "set|unset|toggle|isset|isnotset,NAME or noalert", "A bit that rules leave on a flow for others.", "flowbits:set,example.seen;"),
    variable("flowint", "NAME,=|+|-|<|>|…,NUMBER or NAME,isset|isnotset", "A number that rules keep on a flow.", "flowint:tries,+,1;"),
    variable("xbits", "set|unset|toggle|isset|isnotset,NAME,track ip_src|ip_dst|ip_pair|tx[,expire SECONDS]", "A bit on a host, a pair of hosts or a transaction.", "xbits:set,bad,track ip_src,expire 60;"),
    variable("flowvar", "NAME,\"TEXT\"", "What an expression has captured into the flow by that name holds a text.", "flowvar:user,\"root\";"),
    variable("pktvar", "NAME,\"TEXT\"", "What an expression of an earlier rule has captured from the same packet by that name holds a text.", "pktvar:user,\"root\";"),
    variable("hostbits", "set|unset|toggle|isset|isnotset,NAME[,src|dst]", "A bit on a host.", "hostbits:set,bad,src;"),
  ]

  private static func meta(_ name: String, _ syntax: String, _ summary: String, _ example: String) -> KeywordDescription {
    KeywordDescription(
      name, kind: .meta, syntax: syntax, summary: summary, example: example,
      source: keywordFile("MetaKeywords"))
  }

  private static func flow(_ name: String, _ syntax: String, _ summary: String, _ example: String) -> KeywordDescription {
    KeywordDescription(
      name, kind: .flow, way: .both, syntax: syntax, summary: summary, example: example,
      source: keywordFile("FlowKeywords"))
  }

  private static func variable(_ name: String, _ syntax: String, _ summary: String, _ example: String) -> KeywordDescription {
    KeywordDescription(
      name, kind: .variable, syntax: syntax, summary: summary, example: example,
      source: keywordFile("VariableKeywords"))
  }

  static func keywordFile(_ name: String) -> String { "Sources/Detection/Keywords/\(name).swift" }
}
