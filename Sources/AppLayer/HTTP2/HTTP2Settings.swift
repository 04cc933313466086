/// What an operator may set for HTTP/2 (`app-layer.protocols.http2`).
public struct HTTP2Settings: Sendable, Equatable {
  /// Streams of one connection that are under way at a time (`max-streams`); beyond, the oldest is
  /// given up with the event `too_many_streams`.
  public var streamCountMax = 4096
  /// Octets of the dynamic table of either side (`max-table-size`); a table that is made larger is an
  /// event and ends the understanding of header blocks.
  public var tableSizeMax = 65_536
  /// Octets of one frame other than DATA that are looked at; longer ones are passed over with the event
  /// `long_frame_data`. No peer accepts longer ones unless it has said so.
  public var frameBytesMax = 1_048_576
  /// Frames longer than this are told of (`long_frame_data`), as Suricata does.
  public var frameBytesUsual = 65_536
  /// Octets of names and values in one header block, decoded.
  public var headerListBytesMax = 262_144
  /// CONTINUATION frames in one header block before the event `continuation_flood`.
  public var continuationCountMax = 64
  /// Streams that one side resets within a second before the event `rapid_reset`.
  public var resetsPerSecondMax = 200
  /// Control and empty frames of one side within a second before the event `control_frame_flood`.
  public var controlFramesPerSecondMax = 2000
  /// Numbers of frames (windows, settings, …) kept for one stream and direction; beyond, the oldest go
  /// with the event `too_many_frames`.
  public var frameNotesMax = 4096

  /// Every peer accepts frames of that length (RFC 9113 section 4.2).
  public static let frameBytesLeast = 16_384

  /// Header blocks are kept for a ``HTTP2Cutter``, which has to take each away.
  public var keepsBlocks = false

  public init() {}
}
