import Detection
import EventOutput

/// What `sluice keywords` prints; docs/keywords.md is its Markdown form.
public enum KeywordReference {
  /// A table for a terminal.
  public static func text(_ keywords: [KeywordDescription]) -> String {
    let width = keywords.map(\.name.utf8.count).max() ?? 0
    let kindWidth = keywords.map(\.kind.rawValue.utf8.count).max() ?? 0
    return keywords.map { keyword in
      let traffic = keyword.protocols.isEmpty ? "any" : keyword.protocols.joined(separator: " ")
      return "\(padded(keyword.name, width))  \(padded(keyword.kind.rawValue, kindWidth))  \(padded(traffic, 12))  \(keyword.summary)\n"
    }.joined()
  }

  /// All that is known of one keyword.
  public static func details(_ keyword: KeywordDescription) -> String {
    var lines = [
      "\(keyword.name)\(keyword.syntax.isEmpty ? "" : ":\(keyword.syntax)")", "  \(keyword.summary)", "",
      "  kind      \(keyword.kind.rawValue)",
    ]
    if !keyword.aliases.isEmpty { lines.append("  also      \(keyword.aliases.joined(separator: ", "))") }
    lines.append("  traffic   \(keyword.protocols.isEmpty ? "any" : keyword.protocols.joined(separator: ", "))")
    if keyword.way != .none { lines.append("  direction \(keyword.way.rawValue)") }
    if keyword.isMultiple { lines.append("  may occur several times; each is inspected by itself") }
    if keyword.isStreaming { lines.append("  inspected while it grows") }
    lines += ["  since     \(keyword.since)", "  source    \(keyword.source)", "", "  \(keyword.example)"]
    return lines.joined(separator: "\n") + "\n"
  }

  public static func json(_ keywords: [KeywordDescription]) -> String {
    var writer = JSONWriter()
    writer.beginArray()
    for keyword in keywords {
      writer.beginObject()
      writer.member("name", text: keyword.name)
      writer.strings("aliases", keyword.aliases)
      writer.member("kind", text: keyword.kind.rawValue)
      writer.strings("protocols", keyword.protocols)
      writer.member("direction", text: keyword.way.rawValue)
      writer.member("multiple", keyword.isMultiple)
      writer.member("streaming", keyword.isStreaming)
      writer.member("syntax", text: keyword.syntax)
      writer.member("summary", text: keyword.summary)
      writer.member("since", text: keyword.since)
      writer.member("source", text: keyword.source)
      writer.member("example", text: keyword.example)
      writer.endObject()
    }
    writer.endArray()
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  // MARK: Markdown

  /// The whole of docs/keywords.md.
  public static func markdown(_ keywords: [KeywordDescription]) -> String {
    var out = """
      # Keywords

      Every keyword that rules may use; a rule with any other is refused, never loaded in part. This page is made by
      `sluice keywords --markdown`, and a test asserts that it is current. What a condition on a number can say: `5`, `!5`, `>5`,
      `>=5`, `<5`, `<=5`, `1-5` (2, 3 and 4), `!1-5`, `&0xc0=0x80`.


      """
    for kind in KeywordDescription.Kind.allCases {
      let ofKind = keywords.filter { $0.kind == kind }
      if ofKind.isEmpty { continue }
      out += "## \(titles[kind] ?? kind.rawValue)\n\n"
      out += table(ofKind, kind) + "\n"
    }
    return out
  }

  private static let titles: [KeywordDescription.Kind: String] = [
    .meta: "About the rule", .flow: "Flows", .threshold: "Thresholds", .variable: "Variables", .packet: "Packets",
    .event: "Events and protocols", .payload: "Looking into buffers", .transform: "Transforms",
    .transaction: "Transactions", .dataset: "Sets of values", .contentModifier: "Modifiers of a content",
    .stickyBuffer: "Sticky buffers", .headerBuffer: "Headers as buffers", .legacyModifier: "Modifiers of old",
  ]

  private static func table(_ keywords: [KeywordDescription], _ kind: KeywordDescription.Kind) -> String {
    let isBuffer = kind == .stickyBuffer
    var rows = [
      isBuffer ? "| keyword | protocol | direction | what it holds |" : "| keyword | traffic | what it does | example |",
      "| --- | --- | --- | --- |",
    ]
    for keyword in keywords {
      let names = ([keyword.name] + keyword.aliases).map { "`\($0)`" }.joined(separator: ", ")
      let traffic = keyword.protocols.isEmpty ? "any" : keyword.protocols.joined(separator: ", ")
      let notes = (keyword.isMultiple ? " Each by itself." : "") + (keyword.isStreaming ? " Grows." : "")
      rows.append(
        isBuffer
          ? "| \(names) | \(traffic) | \(keyword.way.rawValue) | \(escaped(keyword.summary))\(notes) |"
          : "| \(names) | \(traffic) | \(escaped(keyword.summary)) | `\(escaped(keyword.exampleOptions))` |")
    }
    return rows.joined(separator: "\n") + "\n"
  }

  private static func escaped(_ text: String) -> String {
    text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.utf8.count))
  }
}

extension JSONWriter {
  mutating func strings(_ key: StaticString, _ values: [String]) {
    beginArray(key)
    for value in values { string(text: value) }
    endArray()
  }
}
