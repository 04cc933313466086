import AppLayer
import Inspection
import Traffic

/// The client that a proxy says it speaks for (`xff`).
///
/// - Source: Suricata 8, "Xff" of its EVE output configuration.
public struct ForwardedForSettings: Sendable {
  public enum Mode: Sendable {
    /// A member of its own.
    case extraData
    /// In place of the proxy's address.
    case overwrite
  }

  public var mode = Mode.extraData
  /// The proxy stands before servers: it added the last address; else the first is the client.
  public var isReverse = true
  /// Of the request field, any case.
  public var header = "X-Forwarded-For"

  public init() {}

  /// The address that the request of the transaction names, or of the flow's last one.
  func address(_ transaction: Transaction?, _ appLayer: AppLayerFlow?) -> IPAddress? {
    let http =
      transaction as? HTTPTransaction
      ?? appLayer?.transactions.last { $0 is HTTPTransaction } as? HTTPTransaction
    guard let value = http?.header(header, .toServer) else { return nil }
    let items = value.storage[value.range].split(separator: UInt8(ascii: ","))
    guard let item = isReverse ? items.last : items.first else { return nil }
    return Self.parse(String(decoding: item, as: UTF8.self).filter { $0 != " " && $0 != "\"" })
  }

  /// The address, perhaps with a port: `192.0.2.1:80`, `[2001:db8::1]:80`.
  private static func parse(_ text: String) -> IPAddress? {
    if text.hasPrefix("["), let close = text.firstIndex(of: "]") {
      return IPAddress(text[text.index(after: text.startIndex)..<close])
    }
    if let address = IPAddress(text) { return address }
    return text.firstIndex(of: ":").flatMap { IPAddress(text[..<$0]) }
  }
}
