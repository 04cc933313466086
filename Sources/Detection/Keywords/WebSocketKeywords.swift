import AppLayer
import RuleLanguage

/// Keywords about the frames of WebSocket.
///
/// - Source: Suricata 8 "WebSocket Keywords".
enum WebSocketKeywords {
  static let table: [String: KeywordHandler] = [
    "websocket.opcode": opcode, "websocket.flags": flags,
    "websocket.mask": { (reader, option) throws(RuleValueError) in
      reader.limit(to: [.websocket])
      reader.draft.transactionConditions.append(
        .number(.webSocketMask, try option.condition(max: UInt64(UInt32.max))))
    },
  ]

  /// A name, perhaps negated, or a condition on the number.
  private static let opcode: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.limit(to: [.websocket])
    let word = try option.word().lowercased()
    let isNegated = word.hasPrefix("!")
    let name = isNegated ? String(word.dropFirst()).trimmed : word
    let condition: NumericCondition
    if let opcode = WebSocketTransaction.Opcode.allCases.first(where: { $0.name == name }) {
      let number = UInt64(opcode.rawValue)
      condition = isNegated ? .notEqual(number) : .equal(number)
    } else {
      condition = try option.condition(max: 15)
    }
    reader.draft.transactionConditions.append(.number(.webSocketOpcode, condition))
  }

  private static let bits: [String: UInt64] = ["fin": 0x80, "comp": 0x40]

  /// `fin,!comp`: bits that are set, or not; or a condition on the number.
  private static let flags: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.limit(to: [.websocket])
    let words = try option.word().lowercased().split(separator: ",").map { String($0).trimmed }
    var mask: UInt64 = 0
    var value: UInt64 = 0
    for word in words {
      let isNegated = word.hasPrefix("!")
      guard let bit = bits[isNegated ? String(word.dropFirst()).trimmed : word] else {
        reader.draft.transactionConditions.append(.number(.webSocketFlags, try option.condition(max: 255)))
        return
      }
      mask |= bit
      if !isNegated { value |= bit }
    }
    reader.draft.transactionConditions.append(.number(.webSocketFlags, .bits(mask: mask, value: value)))
  }
}
