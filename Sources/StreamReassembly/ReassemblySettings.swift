/// When bytes are delivered.
public enum DeliveryMode: UInt8, Sendable, Hashable, BitwiseCopyable {
  /// As soon as they are contiguous. What came first stands, and is remembered until it is
  /// acknowledged, so that a segment sent again with other data is found out.
  case inline
  /// When their receiver has acknowledged them; until then the overlap policy decides.
  case acknowledged
}

/// What becomes of urgent data (RFC 9293 section 3.8.5, RFC 6093).
/// - Source: Suricata `stream.reassembly.urgent.policy`.
public enum UrgentPolicy: String, Sendable, Hashable {
  /// The last urgent octet is no part of the stream, as hosts have it by default.
  case outOfBand = "oob"
  /// It is data as any other.
  case inline
  /// Segments with urgent data are not taken.
  case drop
  /// It is missing.
  case gap
}

/// - Source: Suricata `stream.reassembly`.
public struct ReassemblySettings: Sendable, Hashable {
  public var delivery = DeliveryMode.acknowledged
  /// Octets of a stream that are delivered, 0 for all (`stream.reassembly.depth`). What is beyond
  /// is not looked at (counter `streamsAtDepth`, event `reassembly_depth_reached`). Suricata's
  /// default of 1 MiB hides what comes later on a long connection, hence 0.
  public var depthBytes: UInt64 = 0
  /// Octets held by all streams together (`stream.reassembly.memcap`). At the limit, data that is
  /// next in order is delivered without waiting, other data is refused (`memcapHits`).
  public var memcapBytes = 256 << 20
  public var urgentPolicy = UrgentPolicy.outOfBand
  /// What becomes of urgent data once `urgentOctetsMax` of a direction were out of band
  /// (`stream.reassembly.urgent.oob-limit-policy`).
  public var urgentLimitPolicy = UrgentPolicy.drop
  /// Octets of one direction that may be out of band; as in Suricata not a setting.
  public var urgentOctetsMax = 65_535
  /// Overlaps whose data differs raise `reassembly_overlap_different_data`
  /// (`stream.reassembly.check-overlap-different-data`; nil: where packets can be stopped).
  public var reportsDifferentData: Bool?
  /// Octets held by one stream. At the limit what is contiguous is delivered without waiting, other
  /// data is refused (`streamLimitHits`).
  public var streamHeldBytesMax = 16 << 20
  /// Pieces held by one stream, against floods of tiny segments; as `streamHeldBytesMax`.
  public var streamHeldSegmentsMax = 4096
  /// Octets delivered but not acknowledged that an inline stream remembers; the oldest are
  /// forgotten first (`historyTrims`).
  public var historyBytesMax = 1 << 20
  /// Memory, octets, that is kept for streams to come once others have no more use for it; what is
  /// beyond goes back to the system.
  public var pooledBytesMax = 32 << 20

  public init() {}
}

/// What reassembly did, since it was made.
public struct ReassemblyCounters: Sendable, Hashable {
  public var segments: UInt64 = 0
  public var deliveredBytes: UInt64 = 0
  /// Segments that went through without being held.
  public var passedThrough: UInt64 = 0
  public var segmentsHeld: UInt64 = 0
  public var gaps: UInt64 = 0
  public var gapBytes: UInt64 = 0
  public var overlaps: UInt64 = 0
  public var overlapsDifferent: UInt64 = 0
  public var segmentsBeforeBase: UInt64 = 0
  public var memcapHits: UInt64 = 0
  public var streamLimitHits: UInt64 = 0
  public var historyTrims: UInt64 = 0
  public var streamsAtDepth: UInt64 = 0
  /// Urgent octets that were left out as out of band.
  public var urgentOctets: UInt64 = 0
  /// Segments further ahead than any window reaches.
  public var invalidSegments: UInt64 = 0
  public var heldBytes: UInt64 = 0
  public var heldBytesMax: UInt64 = 0
  /// Memory kept for streams to come.
  public var pooledBytes: UInt64 = 0

  public init() {}
}
