/// What an operator may set for the application layer (`app-layer` in the configuration).
public struct AppLayerSettings: Sendable {
  /// Protocols that are looked into; others that are recognised are only named.
  public var enabled: Set<AppProtocol> = Set(AppProtocol.allCases)
  public var http = HTTPSettings()
  /// Octets of one direction after which recognition gives up; bounds what an undecided flow holds.
  public var recognitionLimitBytes = 8192

  public init() {}
}
