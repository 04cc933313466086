import AppLayer
import RuleLanguage

/// Keywords about FTP that are no sticky buffers.
///
/// - Source: Suricata 8 "FTP/FTP-DATA Keywords".
enum FTPKeywords {
  static let table: [String: KeywordHandler] = [
    "ftp.mode": choice(.ftpMode, .ftp, ["active": UInt64(FTPTransaction.Mode.active.rawValue), "passive": UInt64(FTPTransaction.Mode.passive.rawValue)]),
    "ftp.dynamic_port": { (reader, option) throws(RuleValueError) in
      reader.limit(to: [.ftp])
      reader.draft.transactionConditions.append(
        .number(.ftpDynamicPort, try option.condition(max: UInt64(UInt16.max))))
    },
    "ftp.reply_received": choice(
      .ftpReplyReceived, .ftp,
      ["yes": 1, "on": 1, "true": 1, "1": 1, "no": 0, "off": 0, "false": 0, "0": 0]),
    "ftpdata_command": choice(.ftpDataCommand, .ftpData, ["retr": 1, "stor": 2]),
    "ftpbounce": { (reader, option) throws(RuleValueError) in
      try option.refuseValue()
      reader.limit(to: [.ftp])
      reader.draft.transactionConditions.append(.number(.ftpBounce, .equal(1)))
    },
  ]

  /// One of some words, in whatever case.
  private static func choice(
    _ id: NumberID, _ appProtocol: AppProtocol, _ words: [String: UInt64]
  ) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      let word = try option.word().lowercased()
      guard let number = words[word] else {
        throw RuleValueError("must be one of \(words.keys.sorted().joined(separator: ", "))")
      }
      reader.limit(to: [appProtocol])
      reader.draft.transactionConditions.append(.number(id, .equal(number)))
    }
  }
}
