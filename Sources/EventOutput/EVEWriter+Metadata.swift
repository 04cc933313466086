import Detection
import Inspection
import Traffic

/// What rules have noted of a flow and its packets.
///
/// - Source: Suricata 8, EVE JSON format, "Metadata" and "Traffic ID".
extension EVEWriter {
  /// - Parameter captures: what the rule of an alert captured in the packet.
  func writeMetadata(_ flow: FlowRecord?, _ captures: [PayloadCapture]) {
    guard settings.logsMetadata else { return }
    let packetVariables = captures.filter { $0.scope == .packet }
    // Without a flow there is nothing but what the rule itself has captured.
    let variables = flow?.variables ?? captures
    let flowVariables = variables.filter { $0.scope == .flow }
    let entropies = variables.filter { $0.scope == .entropy }
    let bits = flow?.flowBits.filter { !$0.hasPrefix(Self.trafficPrefix) } ?? []
    let integers = flow?.flowIntegers ?? []
    writeTraffic(flow?.flowBits.filter { $0.hasPrefix(Self.trafficPrefix) } ?? [])
    if bits.isEmpty, integers.isEmpty, flowVariables.isEmpty, packetVariables.isEmpty, entropies.isEmpty {
      return
    }
    json.beginObject("metadata")
    if !bits.isEmpty {
      json.beginArray("flowbits")
      for bit in bits { json.string(text: bit) }
      json.endArray()
    }
    if !integers.isEmpty {
      json.beginObject("flowints")
      for (name, value) in integers {
        json.key(text: Array(name.utf8))
        json.number(value)
      }
      json.endObject()
    }
    writeCaptures(flowVariables, "flowvars")
    writeCaptures(packetVariables, "pktvars")
    if !entropies.isEmpty {
      json.beginObject("entropy")
      for entropy in entropies {
        json.key(text: Array(entropy.name.utf8))
        json.prepared(entropy.bytes)
      }
      json.endObject()
    }
    json.endObject()
  }

  private static let trafficPrefix = "traffic/"

  /// Flowbits named `traffic/id/…` and `traffic/label/…` say what kind of traffic the flow is.
  private func writeTraffic(_ bits: [String]) {
    guard !bits.isEmpty else { return }
    json.beginObject("traffic")
    for (key, prefix) in [("id", "traffic/id/"), ("label", "traffic/label/")] as [(StaticString, String)] {
      let names = bits.filter { $0.hasPrefix(prefix) }
      guard !names.isEmpty else { continue }
      json.beginArray(key)
      for name in names { json.string(text: String(name.dropFirst(prefix.count))) }
      json.endArray()
    }
    json.endObject()
  }

  private func writeCaptures(_ captures: [PayloadCapture], _ key: StaticString) {
    guard !captures.isEmpty else { return }
    json.beginArray(key)
    for capture in captures {
      json.beginObject()
      json.key(text: Array(capture.name.utf8))
      json.string(capture.bytes)
      json.endObject()
    }
    json.endArray()
  }
}
