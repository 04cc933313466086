extension KeywordCatalog {
  /// - Source: Suricata "Payload Keywords".
  static let payloadKeywords: [KeywordDescription] = [
    payload("content", "[!]\"TEXT\"", "These octets stand in the buffer; |hex| between bars.", "content:\"GET |2f|\";"),
    payload("pcre", "[!]\"/EXPRESSION/FLAGS\"", "A Perl-compatible expression; R counts from the match before.", "pcre:\"/a[0-9]+b/i\";"),
    payload("byte_test", "OCTETS,[!]OPERATOR,VALUE,OFFSET[,relative,string,…]", "A number in the buffer compares so.", "byte_test:2,>,100,0;"),
    payload("byte_jump", "OCTETS,OFFSET[,relative,multiplier N,…]", "Go on behind as many octets as a number in the buffer says.", "byte_jump:2,0;"),
    payload("byte_extract", "OCTETS,OFFSET,NAME[,relative,…]", "A number in the buffer becomes a variable of the rule.", "content:\"a\"; byte_extract:1,0,length,relative; content:\"b\"; within:length;"),
    payload("byte_math", "bytes N, offset N, oper +|-|*|/|<<|>>, rvalue VALUE, result NAME[,relative,…]", "A number in the buffer, reckoned with, becomes a variable.", "byte_math:bytes 1, offset 0, oper +, rvalue 2, result sum; content:\"b\"; offset:sum;"),
    payload("isdataat", "[!]POSITION[,relative]", "There are octets at the position, or none.", "isdataat:!100;"),
    payload("bsize", "CONDITION", "Octets of the buffer.", "http.uri; bsize:>10;"),
    payload("entropy", "[offset N, bytes N,] value CONDITION", "Shannon entropy of the octets, in bits per octet.", "entropy:value > 7;"),
    payload("base64_decode", "[bytes N, offset N, relative]", "Decodes what follows; base64_data looks at the result.", "base64_decode:bytes 12, offset 0; base64_data; content:\"a\";"),
    payload("base64_data", "", "The steps that follow look at what base64_decode gave.", "base64_decode; base64_data; content:\"a\";"),
    payload("asn1", "[bitstring_overflow,] [double_overflow,] [oversize_length N,] [absolute_offset N|relative_offset N]", "An object in BER is malformed so, or longer than that.", "asn1:oversize_length 1024, absolute_offset 0;"),
    payload("absent", "[or_else]", "The buffer is not there; with or_else, or what follows matches.", "http.user_agent; absent;"),
    payload("replace", "\"TEXT\"", "Puts as many other octets over the content, in the packet itself.", "content:\"abc\"; replace:\"xyz\";"),
  ]

  static let contentModifiers: [KeywordDescription] = [
    modifier("nocase", "", "Letters of the content match in either case.", "content:\"a\"; nocase;"),
    modifier("offset", "NUMBER|NAME", "The content begins here or later in the buffer.", "content:\"a\"; offset:4;"),
    modifier("depth", "NUMBER|NAME", "The content ends within so many octets from offset.", "content:\"a\"; depth:4;"),
    modifier("distance", "NUMBER|NAME", "The content begins so many octets or more behind the match before.", "content:\"a\"; content:\"b\"; distance:1;"),
    modifier("within", "NUMBER|NAME", "The content ends within so many octets of the match before.", "content:\"a\"; content:\"b\"; within:10;"),
    modifier("startswith", "", "The content stands at the start of the buffer.", "content:\"a\"; startswith;"),
    modifier("endswith", "", "The content stands at the end of the buffer.", "content:\"a\"; endswith;"),
    modifier("fast_pattern", "[only|OFFSET,LENGTH]", "The rule is found by this content.", "content:\"a\"; fast_pattern;"),
    modifier("rawbytes", "", "Kept for rules of old; the buffer that is named decides.", "content:\"a\"; rawbytes;"),
  ]

  /// - Source: Suricata "Transformations".
  static let transforms: [KeywordDescription] = [
    transform("dotprefix", "", "A dot before the buffer, so that .example.com also ends example.com.", "dns.query; dotprefix; content:\".example.com\"; endswith;", ["dns"]),
    transform("strip_whitespace", "", "Without blanks and line ends.", "http.uri; strip_whitespace; content:\"ab\";"),
    transform("compress_whitespace", "", "Each run of blanks becomes one.", "http.uri; compress_whitespace; content:\"a b\";"),
    transform("to_lowercase", "", "In lower case.", "http.uri; to_lowercase; content:\"abc\";"),
    transform("to_uppercase", "", "In upper case.", "http.uri; to_uppercase; content:\"ABC\";"),
    transform("header_lowercase", "", "Names of header fields in lower case.", "http.header; header_lowercase; content:\"host: a\";"),
    transform("strip_pseudo_headers", "", "Without the pseudo header fields of HTTP/2.", "http.header_names; strip_pseudo_headers; content:\"Host\";"),
    transform("url_decode", "", "Percent escapes decoded, + as blank.", "http.uri.raw; url_decode; content:\"a b\";"),
    transform("domain", "", "The registered domain of a host name.", "http.host; domain; content:\"example.com\"; bsize:11;"),
    transform("tld", "", "The public suffix of a host name.", "http.host; tld; content:\"com\"; bsize:3;"),
    transform("xor", "\"HEX\"", "Each octet exclusive-or the key, which repeats.", "http.request_body; xor:\"01\"; content:\"abc\";"),
    transform("to_md5", "", "MD5 of the buffer, 16 octets.", "http.uri; to_md5; content:\"|00|\";"),
    transform("to_sha1", "", "SHA-1 of the buffer, 20 octets.", "http.uri; to_sha1; content:\"|00|\";"),
    transform("to_sha256", "", "SHA-256 of the buffer, 32 octets.", "http.uri; to_sha256; content:\"|00|\";"),
    transform("from_base64", "[bytes N, offset N, mode rfc4648|rfc2045|strict]", "Decoded from Base64.", "http.cookie; from_base64:offset 3; content:\"abc\";"),
    transform("gunzip", "[max-size N]", "Unpacked from gzip.", "http.request_body; gunzip; content:\"abc\";"),
    transform("zlib_deflate", "[max-size N]", "Unpacked from zlib.", "http.request_body; zlib_deflate; content:\"abc\";"),
    transform("pcrexform", "\"EXPRESSION\"", "What the one group of the expression holds.", "http.uri; pcrexform:\"id=([0-9]+)\"; content:\"7\";"),
  ]

  /// - Source: Suricata "Datasets".
  static let datasets: [KeywordDescription] = [
    KeywordDescription(
      "dataset", kind: .dataset, syntax: "isset|isnotset|set|unset,NAME[,type TYPE,load FILE,save FILE,…]",
      summary: "The buffer is, or is not, in a set of values, or is put there.",
      example: "http.host; dataset:set,seen,type string;", source: keywordFile("DatasetKeywords")),
    KeywordDescription(
      "datarep", kind: .dataset, syntax: "NAME,OPERATOR,NUMBER[,type TYPE,load FILE,…]",
      summary: "The reputation that a set gives the buffer compares so.",
      example: "http.host; datarep:bad,>,200,type string;", source: keywordFile("DatasetKeywords")),
  ]

  /// - Source: Suricata "IP Reputation Keyword".
  static let reputation: [KeywordDescription] = [
    KeywordDescription(
      "iprep", kind: .dataset, protocols: ["ip"], way: .both,
      syntax: "any|src|dst|both,CATEGORY,CONDITION|isset|isnotset",
      summary: "What the reputation files of the configuration say of the packet's addresses.",
      example: "iprep:src,BadHosts,>,10;", source: keywordFile("ReputationKeywords"))
  ]

  private static func payload(
    _ name: String, _ syntax: String, _ summary: String, _ example: String
  ) -> KeywordDescription {
    KeywordDescription(
      name, kind: .payload, way: .both, syntax: syntax, summary: summary, example: example,
      source: "Sources/Detection/Payload")
  }

  private static func modifier(
    _ name: String, _ syntax: String, _ summary: String, _ example: String
  ) -> KeywordDescription {
    KeywordDescription(
      name, kind: .contentModifier, way: .both, syntax: syntax, summary: summary, example: example,
      source: "Sources/Detection/Payload/ContentStep+Modifiers.swift")
  }

  private static func transform(
    _ name: String, _ syntax: String, _ summary: String, _ example: String, _ protocols: [String] = []
  ) -> KeywordDescription {
    KeywordDescription(
      name, kind: .transform, protocols: protocols, way: .both, syntax: syntax, summary: summary,
      example: example, source: "Sources/Detection/Payload/BufferTransform.swift")
  }
}
