import AppLayer

/// The `dhcp` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: DHCP".
public enum DHCPRecord {
  private typealias Code = DHCPTransaction.Code

  /// Without `extended` only what gives an address is told.
  static func isLoggable(_ tx: DHCPTransaction, isExtended: Bool) -> Bool { isExtended || tx.messageType == 5 }

  private static let types: [StaticString] = [
    "discover", "offer", "request", "decline", "ack", "nak", "release", "inform",
  ]

  /// Writes the members; the caller opens and closes the object.
  public static func write(_ tx: DHCPTransaction, isExtended: Bool, into json: inout JSONWriter) {
    switch tx.opcode {
    case 1: json.member("type", "request")
    case 2: json.member("type", "reply")
    default: json.member("type", "<unknown>")
    }
    json.member("id", tx.transactionID)
    json.member("client_mac", OctetText.colons(tx.hardwareAddress))
    json.member("assigned_ip", OctetText.address(tx.assignedAddress))
    if isExtended {
      json.member("client_ip", OctetText.address(tx.clientAddress))
      if tx.opcode == 2 {
        json.member("relay_ip", OctetText.address(tx.relay))
        json.member("next_server_ip", OctetText.address(tx.nextServer))
      }
    }
    if let type = tx.messageType {
      let index = Int(type) - 1
      json.member("dhcp_type", types.indices.contains(index) ? types[index] : "<unknown>")
    }
    writeSeconds(tx, isExtended: isExtended, into: &json)
    if let name = tx.option(Code.hostName) { json.member("hostname", name.value) }
    if let identifier = tx.option(Code.clientID), identifier.value.count > 1 {
      // Behind the kind of hardware.
      json.member("client_id", OctetText.colons(Array(identifier.value.dropFirst())))
    }
    if let address = tx.option(Code.requestedAddress), address.value.count == 4 {
      json.member("requested_ip", OctetText.address(address.value))
    }
    if isExtended { writeMore(tx, into: &json) }
  }

  private static func writeSeconds(_ tx: DHCPTransaction, isExtended: Bool, into json: inout JSONWriter) {
    guard isExtended else { return }
    if let seconds = tx.seconds(Code.leaseTime) { json.member("lease_time", seconds) }
    if let seconds = tx.seconds(Code.rebindingTime) { json.member("rebinding_time", seconds) }
    if let seconds = tx.seconds(Code.renewalTime) { json.member("renewal_time", seconds) }
  }

  private static func writeMore(_ tx: DHCPTransaction, into json: inout JSONWriter) {
    if let mask = tx.option(Code.subnetMask), mask.value.count == 4 {
      json.member("subnet_mask", OctetText.address(mask.value))
    }
    writeAddresses("routers", tx.option(Code.routers), into: &json)
    writeAddresses("dns_servers", tx.option(Code.nameServers), into: &json)
    if let vendor = tx.option(Code.vendorClass) { json.member("vendor_class_identifier", vendor.value) }
    guard let wanted = tx.option(Code.parameters) else { return }
    json.beginArray("params")
    for code in wanted.value {
      if let name = parameter(code) { json.string(text: name) }
    }
    json.endArray()
  }

  private static func writeAddresses(
    _ key: StaticString, _ option: DHCPTransaction.Option?, into json: inout JSONWriter
  ) {
    guard let octets = option?.value, octets.count >= 4 else { return }
    json.beginArray(key)
    for start in stride(from: 0, to: octets.count - 3, by: 4) { json.string(OctetText.address(octets[start..<start + 4])) }
    json.endArray()
  }

  /// Those that have a name in the records.
  private static func parameter(_ code: UInt8) -> String? {
    switch code {
    case 1: "subnet_mask"
    case 3: "router"
    case 6: "dns_server"
    case 15: "domain"
    case 35: "arp_timeout"
    case 42: "ntp_server"
    case 66: "tftp_server_name"
    case 150: "tftp_server_ip"
    default: nil
    }
  }
}
