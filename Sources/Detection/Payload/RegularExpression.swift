import CSluicePCRE2
import RuleLanguage
import Synchronization
import Traffic

// SAFETY: the code and match data belong to one object each, are made in its initialiser and freed
// in its deinitialiser; PCRE2 reads compiled code without writing to it, so that workers may share it.
// The one write, that of the machine code, is done under a lock before the first match of any worker:
// each looks at `isTranslated` before it matches.

/// A compiled `pcre` of a rule.
@safe public final class RegularExpression: @unchecked Sendable {
  private let code: OpaquePointer
  /// Whose code it is, where it could not be copied.
  private let original: RegularExpression?
  /// Of the many expressions few are ever run: machine code, some kilobytes each, is made with the first match.
  private let isTranslated = Atomic<Bool>(false)
  private static let translation = Mutex<Void>(())
  /// The groups whose text is kept, and what for.
  let captures: [Capture]

  struct Capture: Sendable {
    var group: Int
    var scope: PayloadCapture.Scope
    var name: String
  }

  /// - Parameter options: PCRE2 compile options.
  /// - Throws: where PCRE2 refuses the pattern, with its words and the offset.
  init(
    pattern: [UInt8], options: UInt32, captureNames: [(PayloadCapture.Scope, String)] = []
  ) throws(RuleValueError) {
    var errorCode: Int32 = 0
    var errorOffset = 0
    let compiled = unsafe pattern.withUnsafeBufferPointer { bytes in
      unsafe pcre2_compile_8(bytes.baseAddress, bytes.count, options, &errorCode, &errorOffset, nil)
    }
    guard let compiled = unsafe compiled else {
      throw RuleValueError(
        "PCRE2 refuses the pattern: \(Self.message(errorCode))", columnOffset: errorOffset)
    }
    unsafe code = compiled
    original = nil
    do throws(RuleValueError) {
      captures = try unsafe Self.captures(named: captureNames, compiled)
    } catch {
      unsafe pcre2_code_free_8(compiled)
      throw error
    }
  }

  /// The same expression in memory of its own (``PayloadProgram/copied()``).
  private init(copying other: RegularExpression) {
    captures = other.captures.map { $0 }
    // SAFETY: PCRE2 copies the code, which nobody writes to; the copy belongs to this object. It gives none only when
    // there is no memory.
    unsafe code = pcre2_code_copy_8(other.code) ?? other.code
    original = unsafe code == other.code ? other : nil
  }

  func copied() -> RegularExpression { RegularExpression(copying: self) }

  /// Names given behind the flags belong to the groups in their order; older rules name the groups
  /// themselves: `(?P<flow_name>…)`, `(?P<pkt_name>…)`.
  private static func captures(
    named names: [(PayloadCapture.Scope, String)], _ code: OpaquePointer
  ) throws(RuleValueError) -> [Capture] {
    let ofGroups = unsafe groupNames(code).compactMap { group, text -> Capture? in
      if text.hasPrefix("flow_") { return Capture(group: group, scope: .flow, name: String(text.dropFirst(5))) }
      if text.hasPrefix("alert_") { return Capture(group: group, scope: .alert, name: String(text.dropFirst(6))) }
      if text.hasPrefix("pkt_") { return Capture(group: group, scope: .packet, name: String(text.dropFirst(4))) }
      return nil
    }
    guard names.isEmpty || ofGroups.isEmpty else {
      throw RuleValueError("captures are named either in the expression or behind its flags, not both")
    }
    guard names.count <= (unsafe groupCount(code)) else {
      throw RuleValueError("\(names.count) captures are named, and the expression has fewer groups")
    }
    guard names.isEmpty else {
      return names.enumerated().map { Capture(group: $0 + 1, scope: $1.0, name: $1.1) }
    }
    return ofGroups.sorted { $0.group < $1.group }
  }

  /// How many groups the expression has.
  var groupCount: Int { unsafe Self.groupCount(code) }

  private static func groupCount(_ code: OpaquePointer) -> Int {
    var count: UInt32 = 0
    unsafe pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_CAPTURECOUNT), &count)
    return Int(count)
  }

  /// The table of PCRE2: entries of equal size, each a group number in two octets and a name that
  /// ends with 0.
  private static func groupNames(_ code: OpaquePointer) -> [(group: Int, name: String)] {
    var count: UInt32 = 0
    var size: UInt32 = 0
    var table: UnsafePointer<UInt8>?
    unsafe pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_NAMECOUNT), &count)
    unsafe pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_NAMEENTRYSIZE), &size)
    unsafe pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_NAMETABLE), &table)
    guard size > 2, let table = unsafe table else { return [] }
    // SAFETY: PCRE2 says that the table holds `count` entries of `size` octets for as long as the code lives.
    let bytes = unsafe UnsafeBufferPointer(start: table, count: Int(count) * Int(size))
    return (0..<Int(count)).map { entry in
      let start = entry * Int(size)
      let group = unsafe Int(bytes[start]) << 8 | Int(bytes[start + 1])
      let name = unsafe bytes[(start + 2)..<(start + Int(size))].prefix { $0 != 0 }
      return (group, unsafe String(decoding: name, as: UTF8.self))
    }
  }

  deinit { if original == nil { unsafe pcre2_code_free_8(code) } }

  enum Outcome {
    case match(Range<Int>)
    case noMatch
    /// PCRE2 gave up at its match limit.
    case limit
  }

  /// Searches from `start`, which lies inside `bytes`; lookbehind sees what is before it.
  func match(_ bytes: RawSpan, from start: Int, scratch: borrowing RegularExpressionScratch) -> Outcome {
    if !isTranslated.load(ordering: .acquiring) { translate() }
    let result = unsafe bytes.withUnsafeBytes { subject in
      unsafe pcre2_match_8(
        code, subject.baseAddress?.assumingMemoryBound(to: UInt8.self), subject.count,
        start, 0, scratch.data, scratch.context)
    }
    if result >= 0 {
      let offsets = unsafe pcre2_get_ovector_pointer_8(scratch.data)
      guard let offsets = unsafe offsets, unsafe offsets[0] <= offsets[1] else { return .noMatch }
      return unsafe .match(Int(offsets[0])..<Int(offsets[1]))
    }
    return result == PCRE2_ERROR_NOMATCH ? .noMatch : .limit
  }

  private func translate() {
    Self.translation.withLock { _ in
      guard !isTranslated.load(ordering: .relaxed) else { return }
      // Where that is refused, the interpreter serves.
      unsafe pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE))
      isTranslated.store(true, ordering: .releasing)
    }
  }

  /// The octets of a group of the last match; nil when it took no part.
  func group(_ number: Int, of bytes: RawSpan, scratch: borrowing RegularExpressionScratch) -> [UInt8]? {
    guard number < RegularExpressionScratch.groupsMax,
      let offsets = unsafe pcre2_get_ovector_pointer_8(scratch.data)
    else { return nil }
    let low = unsafe offsets[2 * number]
    let high = unsafe offsets[2 * number + 1]
    guard low <= high, high <= bytes.byteCount else { return nil }
    return bytes.extracting(Int(low)..<Int(high)).copied()
  }

  private static func message(_ code: Int32) -> String {
    var text = [UInt8](repeating: 0, count: 200)
    let count = unsafe text.withUnsafeMutableBufferPointer {
      unsafe pcre2_get_error_message_8(code, $0.baseAddress, $0.count)
    }
    return String(decoding: text.prefix(max(0, Int(count))), as: UTF8.self)
  }
}

/// Match data and limits of one worker.
@safe final class RegularExpressionScratch {
  /// Groups whose positions are kept; a rule names at most eight.
  static let groupsMax = 16
  /// Backtracking steps before PCRE2 gives up (Suricata `pcre.match-limit` is 3500 by default).
  static let matchLimit: UInt32 = 3500
  static let depthLimit: UInt32 = 1500
  let data: OpaquePointer?
  let context: OpaquePointer?

  init() {
    unsafe data = pcre2_match_data_create_8(UInt32(Self.groupsMax), nil)
    unsafe context = pcre2_match_context_create_8(nil)
    unsafe pcre2_set_match_limit_8(context, Self.matchLimit)
    unsafe pcre2_set_depth_limit_8(context, Self.depthLimit)
  }

  deinit {
    unsafe pcre2_match_data_free_8(data)
    unsafe pcre2_match_context_free_8(context)
  }
}
