import AppLayer
import Traffic

extension KeywordCatalog {
  /// Sticky buffers, from the table that declares them.
  static let buffers: [KeywordDescription] = BufferTable.all.compactMap { buffer in
    guard let name = buffer.names.first else { return nil }
    var description = KeywordDescription(
      name, aliases: Array(buffer.names.dropFirst()), kind: .stickyBuffer, protocols: protocols(buffer),
      way: way(buffer), summary: buffer.summary, example: example(buffer, name),
      source: "Sources/AppLayer")
    description.isMultiple = buffer.isMultiple
    description.isStreaming = buffer.isStreaming
    return description
  }

  /// Modifiers of old: each moves the content before it.
  static let legacyModifiers: [KeywordDescription] = BufferTable.all.flatMap { buffer in
    buffer.legacyModifiers.map { modifier in
      KeywordDescription(
        modifier, kind: .legacyModifier, protocols: protocols(buffer), way: way(buffer),
        summary: "Moves the content before it to \(buffer.names.first ?? "").",
        example: (buffer.id == .httpHeaderRaw ? "flow:to_server; " : "") + "content:\"example\"; \(modifier);",
        source: "Sources/Detection/Compile/RuleReader.swift")
    }
  }

  /// Some buffers have a form that their contents must have too.
  private static func example(_ buffer: BufferDeclaration, _ name: String) -> String {
    switch buffer.id {
    case .ja3Hash, .ja3sHash: "\(name); content:\"e7d705a3286e19ea42f587b344ee6865\";"
    case .tlsCertificateSerial: "\(name); content:\"5C:19:B7\";"
    case .tlsCertificateFingerprint:
      "\(name); content:\"4a:a3:66:76:82:cb:6b:23:bb:c3:58:47:23:a4:63:a7:78:a4:a1:18\";"
    case .httpHeaderRaw: "flow:to_server; \(name); content:\"X-Example|3a|  1\";"
    default: "\(name); content:\"example\";"
    }
  }

  static let headers: [KeywordDescription] = KeywordTable.headers.map { name, header in
    let (protocolName, summary) = text(of: header)
    return KeywordDescription(
      name, kind: .headerBuffer, protocols: [protocolName], way: .both, summary: summary,
      example: "\(name); content:\"|00|\";", source: "Sources/Detection/Match/Detector+Payload.swift")
  }

  private static func text(of header: PacketHeader) -> (protocolName: String, summary: String) {
    switch header {
    case .ipv4: ("ip", "Header of the IPv4 packet with its options.")
    case .ipv6: ("ip", "Header of the IPv6 packet.")
    case .tcp: ("tcp", "Header of the TCP segment with its options.")
    case .udp: ("udp", "Header of the UDP datagram.")
    case .icmpv4: ("icmp", "Header of the ICMP message.")
    case .icmpv6: ("icmp", "Header of the ICMPv6 message.")
    case .sourceAddress: ("ip", "Source address: four octets or sixteen.")
    case .destinationAddress: ("ip", "Destination address: four octets or sixteen.")
    }
  }

  private static func protocols(_ buffer: BufferDeclaration) -> [String] {
    var names: [String] = []
    // DNS over HTTP/2 goes without saying.
    for source in buffer.sources where source.appProtocol != .doh2 && !names.contains(source.appProtocol.name) {
      names.append(source.appProtocol.name)
    }
    return names
  }

  private static func way(_ buffer: BufferDeclaration) -> KeywordDescription.Way {
    let directions = Set(buffer.sources.map(\.direction))
    if directions.count != 1 { return .both }
    return directions.contains(.toServer) ? .toServer : .toClient
  }
}
