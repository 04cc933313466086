import Inspection
import Traffic

/// Names flows: `all`, an identifier as records have it (`flow_id`), or one or two ends, each an address
/// with or without a port: `10.0.0.7`, `10.0.0.7:443`, `[2001:db8::1]:443`.
public struct FlowSelector: Sendable, Equatable {
  struct End: Sendable, Equatable {
    var address: IPAddress?
    var port: UInt16?

    func fits(_ address: IPAddress, _ port: UInt16) -> Bool {
      (self.address.map { $0 == address } ?? true) && (self.port.map { $0 == port } ?? true)
    }
  }

  var id: UInt64?
  var ends: [End] = []

  /// - Throws: what is wrong with the words.
  public init(_ words: [String]) throws(ControlError) {
    guard let first = words.first else { throw ControlError(message: "say which flow: an identifier, or one or two ends") }
    if words == ["all"] { return }
    if words.count == 1, let id = UInt64(first) {
      self.id = id
      return
    }
    guard words.count <= 2 else { throw ControlError(message: "a flow has two ends, not \(words.count)") }
    for word in words {
      guard let end = Self.end(word) else {
        throw ControlError(message: "\(word) is no address, address:port or flow identifier")
      }
      ends.append(end)
    }
  }

  private static func end(_ word: String) -> End? {
    if word.hasPrefix("[") {
      let parts = word.dropFirst().split(separator: "]", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let address = IPAddress(parts[0]) else { return nil }
      if parts[1].isEmpty { return End(address: address) }
      guard parts[1].hasPrefix(":"), let port = UInt16(parts[1].dropFirst()) else { return nil }
      return End(address: address, port: port)
    }
    if let address = IPAddress(word) { return End(address: address) }
    let parts = word.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let port = UInt16(parts[1]) else { return nil }
    if parts[0].isEmpty { return End(port: port) }
    guard let address = IPAddress(parts[0]) else { return nil }
    return End(address: address, port: port)
  }

  public func fits(_ flow: FlowRecord) -> Bool {
    if let id { return flow.id == id }
    let tuple = flow.tuple
    func isSource(_ end: End) -> Bool { end.fits(tuple.source, tuple.sourcePort) }
    func isDestination(_ end: End) -> Bool { end.fits(tuple.destination, tuple.destinationPort) }
    switch ends.count {
    case 0: return true
    case 1: return isSource(ends[0]) || isDestination(ends[0])
    default:
      return isSource(ends[0]) && isDestination(ends[1]) || isSource(ends[1]) && isDestination(ends[0])
    }
  }
}
