import Traffic

/// What the flows of one worker share: settings, who looks at their files, room that is used again from flow to flow.
///
/// Never shared between threads. Settings are replaced whole, with the supply.
public final class AppLayerSupply {
  public let settings: AppLayerSettings
  /// Nil where nobody looks at files.
  public let files: FileExaminer?
  /// Octets that are being recognised. Nothing is left in it that matters: a list of its own for each flow was allocated,
  /// and for each of its directions.
  var beginning: [UInt8] = []
  var dnsMessages = SparePool<DNSTransaction>()
  /// Of HTTP/1.
  var exchanges = SparePool<HTTPTransaction>()
  /// Protocols that are looked into, a bit for each: to hash one takes longer than to recognise it.
  private let enabledBits: UInt64

  public init(settings: AppLayerSettings, files: FileExaminer? = nil) {
    self.settings = settings
    self.files = files
    enabledBits = settings.enabled.reduce(0) { $0 | Self.bit($1) }
  }

  func isEnabled(_ appProtocol: AppProtocol) -> Bool { enabledBits & Self.bit(appProtocol) != 0 }

  /// There are fewer protocols than bits.
  private static func bit(_ appProtocol: AppProtocol) -> UInt64 { 1 << UInt64(appProtocol.rawValue) }

  /// Takes up to `countMax` octets to be recognised.
  func begin(with bytes: RawSpan, countMax: Int) {
    beginning.removeAll(keepingCapacity: true)
    beginning.append(bytes.extracting(0..<min(max(0, countMax), bytes.byteCount)))
  }
}
