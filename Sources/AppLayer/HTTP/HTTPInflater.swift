import CSluiceCompression
import Traffic

/// One content coding being undone.
protocol HTTPDecodingStage: AnyObject {
  /// The data was not what its label says, or broke off.
  var hasFailed: Bool { get }
  /// Takes coded octets and hands decoded ones to `output`, which returns false to stop.
  ///
  /// - Returns: false when `output` said so.
  func write(_ bytes: RawSpan, _ output: (RawSpan) -> Bool) -> Bool
  /// No more input: what was held back comes out as it is.
  func finish(_ output: (RawSpan) -> Bool) -> Bool
}

// SAFETY: the z_stream is allocated once, owned by this object alone and never moves; `next_in` and
// `next_out` point into buffers that outlive the one call of `inflate` between setting and use.

/// Undoes one DEFLATE coding (gzip, zlib or raw), whatever its label says, as leniently as browsers:
/// checksums and lengths at the end are not looked at.
///
/// - Source: RFC 1950, 1951, 1952; Suricata 8 tries the labelled format first, then the others, and
///   passes data on as it is when none fits.
/// - Invariant: once octets have come out, the format stays.
@safe final class HTTPInflater: HTTPDecodingStage {
  enum Format: CaseIterable { case gzip, raw, zlib }

  private enum State { case undecided, inflating, ended, passing }

  private let stream: UnsafeMutablePointer<z_stream>
  private var isOpen = false
  private var state = State.undecided
  private var candidates: [Format]
  private let declared: Format
  private var format = Format.gzip
  /// Input seen before a format proved right, to try the next one on.
  private var held: [UInt8] = []
  /// Octets of a gzip trailer and what follows, to find another member.
  private var afterEnd: [UInt8] = []
  private var hasOutput = false
  /// None of the formats fitted, or the data broke off its format.
  private(set) var hasFailed = false

  /// Input that is kept to retry; a header longer than this counts as broken.
  private static let heldCountMax = 65_536
  private static let outputCount = 32_768

  init(_ first: Format) {
    declared = first
    candidates = [first] + Format.allCases.filter { $0 != first }
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
  }

  deinit {
    close()
    unsafe stream.deinitialize(count: 1)
    unsafe stream.deallocate()
  }

  private func close() {
    if isOpen { _ = unsafe inflateEnd(stream) }
    isOpen = false
  }

  func write(_ bytes: RawSpan, _ output: (RawSpan) -> Bool) -> Bool {
    switch state {
    case .passing: return output(bytes)
    case .inflating: return inflate(bytes, output)
    case .ended: return resume(bytes, output)
    case .undecided:
      held.append(bytes)
      return decide(isEnd: false, output)
    }
  }

  func finish(_ output: (RawSpan) -> Bool) -> Bool {
    guard state == .undecided, !held.isEmpty else { return true }
    return decide(isEnd: true, output)
  }

  /// Tries formats on the held input until one yields octets or none is left.
  private func decide(isEnd: Bool, _ output: (RawSpan) -> Bool) -> Bool {
    while let candidate = candidates.first {
      if candidate == .raw, declared != .raw, !isEnd, held.count < Self.doubtCount { return true }
      switch attempt(candidate, output) {
      case .stopped: return false
      case .decided: return true
      case .needMore:
        if !isEnd, held.count <= Self.heldCountMax { return true }
        if isEnd, state == .ended { return true }
      case .wrong: break
      }
      candidates.removeFirst()
    }
    close()
    hasFailed = true
    state = .passing
    let rest = held
    held = []
    return output(rest.rawSpan)
  }

  /// Octets that must be plain deflate for data with another label to be taken for it.
  private static var doubtCount: Int { 512 }

  private enum Attempt { case needMore, wrong, decided, stopped }

  private func attempt(_ candidate: Format, _ output: (RawSpan) -> Bool) -> Attempt {
    let start: Int
    switch candidate {
    case .raw: start = 0
    case .zlib:
      guard held.count >= 2 else { return .needMore }
      guard held[0] & 0x0f == 8, (Int(held[0]) << 8 | Int(held[1])) % 31 == 0 else { return .wrong }
      start = held[1] & 0x20 != 0 ? 6 : 2
      if held.count < start { return .needMore }
    case .gzip:
      switch Self.gzipHeaderCount(held) {
      case .some(let count) where count < 0: return .wrong
      case .some(let count): start = count
      case nil: return .needMore
      }
    }
    close()
    unsafe stream.pointee = z_stream()
    guard unsafe sluice_inflate_init(stream, -15) == Z_OK else { return .wrong }
    isOpen = true
    format = candidate
    state = .inflating
    hasOutput = false
    let input = held
    var outcome: Outcome
    let isDoubtful = candidate == .raw && declared != .raw
    if isDoubtful {
      // Plain deflate has no mark to be known by, and other data would be half taken for it: what comes of
      // the first octets counts only where none of them breaks it off.
      var kept: [UInt8] = []
      let count = min(input.count, Self.doubtCount)
      outcome = run(input.rawSpan.extracting(0..<count)) { bytes in
        kept.append(bytes)
        return true
      }
      if case .broken = outcome {
        hasOutput = false
      } else if !kept.isEmpty, !output(kept.rawSpan) {
        outcome = .stopped
      } else if case .hungry = outcome, count < input.count {
        outcome = run(input.rawSpan.extracting(count..<input.count), output).advanced(by: count)
      }
    } else {
      outcome = run(input.rawSpan.extracting(start..<input.count), output)
    }
    switch outcome {
    case .stopped: return .stopped
    case .broken where !hasOutput:
      state = .undecided
      return .wrong
    case .broken(let consumed):
      held = []
      return passRest(input.rawSpan.extracting(start + consumed..<input.count), output)
        ? .decided : .stopped
    case .ended(let consumed):
      held = []
      state = .ended
      return resume(input.rawSpan.extracting(start + consumed..<input.count), output)
        ? .decided : .stopped
    case .hungry:
      guard hasOutput else {
        state = .undecided
        return .needMore
      }
      held = []
      return .decided
    }
  }

  /// The octets of a gzip header; nil when it is not complete, negative when it is none.
  private static func gzipHeaderCount(_ bytes: [UInt8]) -> Int? {
    for (i, wanted) in [0x1f, 0x8b, 8].enumerated() {
      guard i < bytes.count else { return nil }
      if bytes[i] != UInt8(wanted) { return -1 }
    }
    guard bytes.count >= 10 else { return nil }
    let flags = bytes[3]
    var i = 10
    if flags & 4 != 0 {
      guard i + 2 <= bytes.count else { return nil }
      i += 2 + (Int(bytes[i]) | Int(bytes[i + 1]) << 8)
      guard i <= bytes.count else { return nil }
    }
    for flag: UInt8 in [8, 16] where flags & flag != 0 {
      guard let nul = bytes[i...].firstIndex(of: 0) else { return nil }
      i = nul + 1
    }
    if flags & 2 != 0 { i += 2 }
    return i <= bytes.count ? i : nil
  }

  private enum Outcome {
    func advanced(by count: Int) -> Outcome {
      switch self {
      case .ended(let consumed): .ended(consumed + count)
      case .broken(let consumed): .broken(consumed + count)
      case .hungry, .stopped: self
      }
    }

    /// All input is used up.
    case hungry
    case ended(Int)
    case broken(Int)
    case stopped
  }

  private func inflate(_ bytes: RawSpan, _ output: (RawSpan) -> Bool) -> Bool {
    switch run(bytes, output) {
    case .hungry: return true
    case .stopped: return false
    case .broken(let consumed):
      return passRest(bytes.extracting(consumed..<bytes.byteCount), output)
    case .ended(let consumed):
      state = .ended
      return resume(bytes.extracting(consumed..<bytes.byteCount), output)
    }
  }

  /// The data broke off its format: what follows is passed on as it is.
  private func passRest(_ bytes: RawSpan, _ output: (RawSpan) -> Bool) -> Bool {
    close()
    hasFailed = true
    state = .passing
    return bytes.byteCount == 0 || output(bytes)
  }

  /// After the end of a gzip member: another one may follow its trailer; anything else is dropped.
  private func resume(_ bytes: RawSpan, _ output: (RawSpan) -> Bool) -> Bool {
    guard format == .gzip, afterEnd.count < Self.heldCountMax else { return true }
    afterEnd.append(bytes)
    guard afterEnd.count > 8 else { return true }
    let member = Array(afterEnd[8...])
    switch Self.gzipHeaderCount(member) {
    case nil: return true
    case .some(let count) where count < 0:
      afterEnd = Array(repeating: 0, count: Self.heldCountMax)
      return true
    case .some:
      afterEnd = []
      held = member
      candidates = [.gzip]
      state = .undecided
      return decide(isEnd: false, output)
    }
  }

  private func run(_ bytes: RawSpan, _ output: (RawSpan) -> Bool) -> Outcome {
    unsafe withUnsafeTemporaryAllocation(byteCount: Self.outputCount, alignment: 1) { room in
      unsafe bytes.withUnsafeBytes { input in unsafe run(input, room, output) }
    }
  }

  private func run(
    _ input: UnsafeRawBufferPointer, _ room: UnsafeMutableRawBufferPointer,
    _ output: (RawSpan) -> Bool
  ) -> Outcome {
    unsafe stream.pointee.next_in = UnsafeMutablePointer(
      mutating: input.bindMemory(to: UInt8.self).baseAddress)
    unsafe stream.pointee.avail_in = UInt32(clamping: input.count)
    while true {
      unsafe stream.pointee.next_out = room.bindMemory(to: UInt8.self).baseAddress
      unsafe stream.pointee.avail_out = UInt32(room.count)
      let code = unsafe CSluiceCompression.inflate(stream, Z_NO_FLUSH)
      let produced = room.count - Int(unsafe stream.pointee.avail_out)
      let consumed = input.count - Int(unsafe stream.pointee.avail_in)
      if produced > 0 {
        hasOutput = true
        let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: room[0..<produced]))
        if !output(span) { return .stopped }
      }
      if code == Z_STREAM_END { return .ended(consumed) }
      if code != Z_OK, code != Z_BUF_ERROR { return .broken(consumed) }
      if produced < room.count { return .hungry }
    }
  }
}
