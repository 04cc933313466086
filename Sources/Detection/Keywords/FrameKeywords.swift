import AppLayer
import RuleLanguage

/// `frame`: a part of the stream that a protocol marks off, as a sticky buffer.
///
/// - Source: Suricata 8 "Frame" keyword: `frame:tls.pdu`, or `frame:pdu` in a rule of that protocol.
enum FrameKeywords {
  static let table: [String: KeywordHandler] = ["frame": frame]

  private static let frame: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let name = try option.word()
    guard let kind = named(name, reader) else {
      throw RuleValueError("there is no frame \(name), or it is not supported", hint: "frame:http1.request")
    }
    if let other = reader.frame, other != kind { throw RuleValueError("a rule looks at one kind of frame") }
    reader.frame = kind
    if reader.draft.head.appProtocols.isAny { reader.draft.head.appProtocols = .of([kind.appProtocol]) }
    reader.selectFrame(kind)
  }

  private static func named(_ name: String, _ reader: RuleReader) -> FrameKind? {
    for (appProtocol, names) in FrameKind.known {
      let prefixes = appProtocol == .http ? ["http1"] : [appProtocol.name]
      for known in names {
        let isFull = prefixes.contains { "\($0).\(known)" == name }
        let isShort = known == name && reader.draft.head.appProtocols.contains(appProtocol)
        if isFull || isShort {
          return reader.draft.head.appProtocols.allows(appProtocol) ? FrameKind(appProtocol, known) : nil
        }
      }
    }
    return nil
  }
}
