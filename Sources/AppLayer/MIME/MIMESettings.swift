/// What an operator may set for mail content (`app-layer.protocols.smtp.mime`). Names and defaults are Suricata's.
public struct MIMESettings: Sendable, Equatable {
  public var isEnabled = true
  public var decodesBase64 = true
  public var decodesQuotedPrintable = true
  /// Octets of a header field's value that are kept.
  public var headerValueBytesMax = 2000
  public var extractsURLs = true
  /// Schemes whose URLs are extracted, without `://`.
  public var urlSchemes = ["http"]
  /// URLs are kept with their scheme.
  public var keepsURLScheme = false
  /// The message's body is hashed (`body-md5`).
  public var hashesBody = false

  // Ours: bounds on what a message may make us keep.

  /// Octets of a field's name, of a boundary and of a file's name; longer ones are cut with an event.
  public var nameBytesMax = 255
  /// Fields of one head; further ones are passed over.
  public var fieldCountMax = 256
  /// Parts within parts; deeper ones are content of the part around them.
  public var depthMax = 32
  public var attachmentCountMax = 1024
  public var urlCountMax = 1024

  public init() {}
}
