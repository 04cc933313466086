import AppLayer
import RuleLanguage

/// Keywords about NTP, DHCP and TFTP that are no sticky buffers.
///
/// - Source: Suricata 8 "NTP Keywords", "DHCP Keywords".
enum DatagramKeywords {
  static let table: [String: KeywordHandler] = [
    "ntp.version": number(.ntpVersion, .ntp, UInt64(UInt8.max)), "ntp.stratum": number(.ntpStratum, .ntp, UInt64(UInt8.max)),
    "ntp.mode": named(.ntpMode, .ntp, NTPTransaction.modes, first: 0),
    "dhcp.leasetime": number(.dhcpLeaseTime, .dhcp, .max), "dhcp.renewal_time": number(.dhcpRenewalTime, .dhcp, .max),
    "dhcp.rebinding_time": number(.dhcpRebindingTime, .dhcp, .max),
    "tftp.opcode": named(.tftpOpcode, .tftp, ["read", "write"], first: 1),
  ]

  private static func number(_ id: NumberID, _ appProtocol: AppProtocol, _ max: UInt64) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      reader.limit(to: [appProtocol])
      reader.draft.transactionConditions.append(.number(id, try option.condition(max: max)))
    }
  }

  /// A name, perhaps negated, or a condition on the number.
  private static func named(
    _ id: NumberID, _ appProtocol: AppProtocol, _ names: [String], first: UInt64
  ) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      reader.limit(to: [appProtocol])
      let word = try option.word().lowercased()
      let isNegated = word.hasPrefix("!")
      let name = isNegated ? String(word.dropFirst()).trimmed : word
      let condition: NumericCondition
      if let index = names.firstIndex(of: name) {
        let number = first + UInt64(index)
        condition = isNegated ? .notEqual(number) : .equal(number)
      } else {
        condition = try option.condition(max: UInt64(UInt8.max))
      }
      reader.draft.transactionConditions.append(.number(id, condition))
    }
  }
}
