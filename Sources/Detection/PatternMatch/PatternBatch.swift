import Traffic

/// Short buffers laid one behind the other, so that those that share a table are scanned at once.
///
/// A request has a dozen of them, of some ten to a hundred octets, and a scan costs more by being started than by
/// their octets (docs/decisions/detection-speed.md).
struct PatternBatch {
  /// One buffer within the octets.
  struct Segment: BitwiseCopyable {
    var start: UInt32
    var end: UInt32
    /// Where the first octet lies in the whole buffer.
    var offset: UInt64
    /// Which of the buffers that share the table it is.
    var member: UInt8
    var isComplete: Bool
  }

  /// Octets of a buffer above which it is scanned where it lies.
  static let segmentMax = 1024
  private static let bytesMax = 16 * 1024

  private(set) var bytes: [UInt8] = []
  private(set) var segments: [Segment] = []

  /// Those that wait have to be scanned before the buffer has room.
  func isFull(for buffer: RawSpan) -> Bool { bytes.count &+ min(buffer.byteCount, Self.segmentMax) > Self.bytesMax }

  /// - Returns: false where the buffer is too large to be copied, or there is no room.
  mutating func add(_ buffer: RawSpan, offset: UInt64, member: UInt8, isComplete: Bool) -> Bool {
    guard buffer.byteCount <= Self.segmentMax, !isFull(for: buffer) else { return false }
    let start = UInt32(truncatingIfNeeded: bytes.count)
    bytes.append(buffer)
    segments.append(
      Segment(
        start: start, end: UInt32(truncatingIfNeeded: bytes.count), offset: offset, member: member, isComplete: isComplete))
    return true
  }

  mutating func clear() {
    bytes.removeAll(keepingCapacity: true)
    segments.removeAll(keepingCapacity: true)
  }
}
