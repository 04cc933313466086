/// What an operator may set for HTTP/1. Names and defaults are Suricata's (`app-layer.protocols.http.libhtp`),
/// but for the body limits: a limit there is a hole that an attacker may aim at.
public struct HTTPSettings: Sendable, Equatable {
  /// How a server reads request targets.
  public enum Personality: String, Sendable, CaseIterable {
    case minimal, generic, ids, iis40, iis50, iis51, iis60, iis70, iis75, apache2
  }

  public var personality: Personality = .ids
  /// Octets of a request body that are kept for inspection; nil for all.
  public var requestBodyLimitBytes: UInt64?
  /// Octets of a decoded response body that are kept for inspection; nil for all.
  public var responseBodyLimitBytes: UInt64?
  /// How much of a body has come before rules look at it, where no traffic waits for them; at its end they do in any case.
  /// - Source: Suricata `request-body-minimal-inspect-size`, `request-body-inspect-window` and those of responses.
  public struct BodyPace: Sendable, Equatable {
    /// Octets before the first look.
    public var leastBytes: UInt64
    /// New octets before each other.
    public var stepBytes: UInt64

    public init(leastBytes: UInt64, stepBytes: UInt64) {
      self.leastBytes = leastBytes
      self.stepBytes = stepBytes
    }
  }
  public var requestPace = BodyPace(leastBytes: 32_768, stepBytes: 4096)
  public var responsePace = BodyPace(leastBytes: 40_960, stepBytes: 16_384)
  /// Traffic waits for the rules, which look at each piece of a body as it comes.
  public var showsBodiesAtOnce = true
  /// Octets of a body that stay after inspection, so that matches may reach back over pieces.
  public var bodyWindowBytes = 65_536
  /// Content codings undone one after another; 0 turns decompression off.
  public var responseBodyDecompressLayerLimit = 2
  public var doubleDecodePath = false
  public var doubleDecodeQuery = false
  /// Decompressed octets beyond which a ratio above `compressionBombRatio` ends decompression.
  public var compressionBombLimitBytes: UInt64 = 1_048_576
  public var compressionBombRatio: UInt64 = 2048
  /// Bombs in one flow after which nothing more is decompressed in it.
  public var compressionBombCount = 3
  /// Unfinished exchanges of one flow at a time.
  public var transactionCountMax = 512
  /// Fields in one head, trailer included.
  public var headerCountMax = 1024
  /// Octets of one line or folded field (`meta-field-limit`).
  public var metaFieldLimitBytes = 18_432
  /// Octets of a file's name that are kept.
  public var fileNameLimitBytes = 4096

  public init() {}
}
