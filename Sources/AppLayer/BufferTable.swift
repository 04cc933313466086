import Traffic

/// How rules name a buffer, where it comes from, and when it is there to be inspected.
public struct BufferDeclaration: Sendable {
  /// The buffer is complete, or for streaming ones begins to exist, at this progress of a transaction.
  public struct Source: Sendable {
    public let appProtocol: AppProtocol
    public let direction: Direction
    public let progress: Int

    public init(_ appProtocol: AppProtocol, _ direction: Direction, progress: Int) {
      self.appProtocol = appProtocol
      self.direction = direction
      self.progress = progress
    }
  }

  public let id: BufferID
  /// The sticky keyword, then its other names.
  public let names: [String]
  /// Content modifiers of old that move the content before them into this buffer.
  public let legacyModifiers: [String]
  public internal(set) var sources: [Source]
  /// May occur several times in a transaction; each is inspected on its own.
  public let isMultiple: Bool
  /// Grows while the transaction goes on (bodies).
  public let isStreaming: Bool
  public let summary: String

  public init(
    _ id: BufferID, _ names: [String], legacy: [String] = [], _ sources: [Source],
    isMultiple: Bool = false, isStreaming: Bool = false, summary: String
  ) {
    self.id = id
    self.names = names
    legacyModifiers = legacy
    self.sources = sources
    self.isMultiple = isMultiple
    self.isStreaming = isStreaming
    self.summary = summary
  }
}

/// The one table of sticky buffers: rules, `sluice keywords` and the docs all read it. Each protocol
/// declares its own part in its folder.
public enum BufferTable {
  public static let all: [BufferDeclaration] = sharedWithPOP3(sharedWithFTP(sharedWithSMTP(sharedWithHTTP2(http)))) + http2
    + sharedWithQUIC(tls) + sharedWithHTTP2(dns) + smtp + quic + webSocket + ssh + ftp + sip + sdp + ntp + tftp
}
