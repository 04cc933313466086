import EventOutput
import Glibc
import Traffic

/// Where a record stands among those of all workers of a capture.
struct RecordPlace: Comparable, Sendable {
  /// The packet that it came with.
  var packet: UInt64 = 0
  /// The start and the number of the flow that is over by then; what comes of the packet itself stands behind.
  var start = Int64.max
  var flowID = UInt64.max

  static func < (left: RecordPlace, right: RecordPlace) -> Bool {
    (left.packet, left.start, left.flowID) < (right.packet, right.start, right.flowID)
  }
}

/// Writes the records of one worker with the places where they stand.
///
/// A stretch is four numbers of eight octets (packet, start, flow, octets that follow) and as many octets.
final class RecordPart: LineOutput {
  static let headerBytes = 32
  private static let gatheredBytes = 1 << 17

  /// Of what is written from now on.
  var place = RecordPlace()
  private let file: FileLineOutput
  private var waiting: [UInt8] = []

  init(_ file: FileLineOutput) { self.file = file }

  /// `errno` of the last write that failed; nil where none has.
  var failure: Int32? { file.failureCount > 0 ? file.lastError : nil }

  func write(_ lines: RawSpan) {
    for number in [place.packet, UInt64(bitPattern: place.start), place.flowID, UInt64(lines.byteCount)] {
      for shift in stride(from: 0, to: 64, by: 8) { waiting.append(UInt8(truncatingIfNeeded: number >> UInt64(shift))) }
    }
    waiting.append(lines)
    if waiting.count >= Self.gatheredBytes { flush() }
  }

  func flush() {
    let bytes = waiting
    file.write(bytes.rawSpan)
    waiting.removeAll(keepingCapacity: true)
  }
}

/// Reads what ``RecordPart`` has written, a stretch at a time.
final class RecordPartReader {
  private let descriptor: Int32
  private var bytes: [UInt8] = []
  private var start = 0
  private var byteCount = 0
  /// Of the stretch that comes next; nil at the end of the file.
  private(set) var place: RecordPlace?

  init(path: String) {
    descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    advance()
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Hands over the stretch at `place` and goes on to the next.
  func take(into output: inout [UInt8]) {
    guard place != nil else { return }
    output += bytes[start..<start + byteCount]
    start += byteCount
    advance()
  }

  private func advance() {
    place = nil
    guard require(RecordPart.headerBytes) else { return }
    let packet = number(at: start)
    let flowStart = Int64(bitPattern: number(at: start + 8))
    let flowID = number(at: start + 16)
    byteCount = Int(clamping: number(at: start + 24))
    start += RecordPart.headerBytes
    guard require(byteCount) else { return }
    place = RecordPlace(packet: packet, start: flowStart, flowID: flowID)
  }

  private func number(at offset: Int) -> UInt64 {
    (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64($1 * 8) }
  }

  /// Whether so many octets are there from `start` on, now that more were read.
  private func require(_ count: Int) -> Bool {
    if bytes.count - start >= count { return true }
    bytes.removeFirst(start)
    start = 0
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count < count {
      // SAFETY: the call writes at most `piece.count` octets into the array.
      let got = unsafe read(descriptor, &piece, piece.count)
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { return false }
      bytes += piece[..<got]
    }
    return true
  }

  /// Writes what stands in several parts, in the order of its places.
  static func join(_ paths: [String], into output: FileLineOutput) {
    let parts = paths.map { RecordPartReader(path: $0) }
    var gathered: [UInt8] = []
    while true {
      var first: RecordPartReader?
      for part in parts {
        guard let place = part.place else { continue }
        if let known = first?.place, known < place { continue }
        first = part
      }
      first?.take(into: &gathered)
      if gathered.count >= 1 << 17 || first == nil {
        output.write(gathered.rawSpan)
        gathered.removeAll(keepingCapacity: true)
      }
      if first == nil { return }
    }
  }
}
