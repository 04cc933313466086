import AppLayer
import Traffic

/// How far a rule has come with a buffer that grows, so that no byte is searched again and again.
///
/// All literals of the steps must occur before the steps can hold. They are looked for one after the
/// other, each octet once for each; only then are the steps themselves run, and run again after
/// ``retryBytes`` more octets or at the end; at once where traffic waits for the verdict.
struct GrowingBuffer: Sendable, BitwiseCopyable {
  /// Octets that a buffer grows by before steps that did not hold are run again.
  static let retryBytes: UInt64 = 4096

  private var step: Int32 = -1
  private var instance: Int32 = -1
  /// The step whose literal is looked for.
  private var awaited = 0
  private var searchedTo: UInt64 = 0
  private var triedTo: UInt64 = 0
  private var wasComplete = false

  /// Whether the steps may hold on what the buffer has become.
  mutating func isWorthTrying(
    _ program: PayloadProgram, step: Int, instance: Int, _ bytes: RawSpan, _ view: BufferView,
    isLast: Bool, retriesAtOnce: Bool
  ) -> Bool {
    if self.step != Int32(step) || self.instance != Int32(instance) {
      self = GrowingBuffer()
      self.step = Int32(step)
      self.instance = Int32(instance)
    }
    let end = view.offset &+ UInt64(view.count)
    let isEnd = view.isComplete || isLast
    if triedTo == end, wasComplete == isEnd, end > 0 { return false }
    guard findLiterals(program, bytes, view.offset, end) else { return false }
    if !isEnd, !retriesAtOnce, triedTo > 0, end &- triedTo < Self.retryBytes { return false }
    triedTo = end
    wasComplete = isEnd
    return true
  }

  private mutating func findLiterals(
    _ program: PayloadProgram, _ bytes: RawSpan, _ offset: UInt64, _ end: UInt64
  ) -> Bool {
    // Transforms make another buffer, in which the literals are.
    guard program.transforms.isEmpty else { return true }
    while awaited < program.steps.count {
      guard case .content(let content) = program.steps[awaited], !content.isNegated else {
        awaited += 1
        continue
      }
      let start = Int(content.literalStart)
      let count = Int(content.literalCount)
      let literal = program.literals.rawSpan.extracting(start..<start + count)
      let from = searchedTo > offset ? Int(clamping: searchedTo &- offset) - (count - 1) : 0
      let hit = ByteSearch.find(
        literal, in: bytes, from: max(0, min(from, bytes.byteCount)), to: bytes.byteCount,
        ignoringCase: content.isCaseInsensitive)
      guard hit != nil else {
        searchedTo = end
        return false
      }
      awaited += 1
      searchedTo = 0
    }
    return true
  }
}
