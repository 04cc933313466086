import AppLayer

/// Chooses the literal by which a rule is found.
///
/// Any choice gives the same matches; a rare one gives fewer candidates.
enum FastPatternChoice {
  /// A literal worth scanning for; a shorter one would be seen in every other packet.
  static let bytesMin = 1

  struct Choice {
    /// Index of the buffer step; nil for the payload of a rule without transactions.
    var step: Int?
    var pattern: FastPattern
    var score: Int
    var isRequested: Bool
    var isNearStart: Bool
    /// The rule has a literal near the start, too, which was left because it tells too little.
    var isBesideCommonStart = false
    /// The number of the content among those of its program; nil where a part of it is looked for.
    var content: Int?
  }

  /// Octets that begin so many streams or messages that they tell nothing: those of SMB behind its length.
  private static let commonStarts: [[UInt8]] =
    ["GET ", "POST ", "HTTP/", "220 ", "EHLO ", "HELO ", "USER ", "PASS ", "SSH-", "SMB"].map { Array($0.utf8) }
    + [[0x16, 0x03], [0xff, 0x53, 0x4d, 0x42], [0xfe, 0x53, 0x4d, 0x42]]

  /// Octets of a literal that is looked for in one place, where every stream has something.
  private static let fixedMin = 2
  /// Places that count as one.
  private static let fixedPlaces: UInt32 = 8

  private enum Nearness { case far, common, telling }

  private static func nearness(_ bytes: [UInt8], _ constraint: HitConstraint) -> Nearness {
    guard constraint.endMax <= PatternTablePlan.headReach, !constraint.isAtEnd else { return .far }
    let isFixed = constraint.endMax &- min(constraint.endMin, constraint.endMax) < fixedPlaces
    guard bytes.count >= (isFixed ? fixedMin : nearMin) else { return .far }
    guard bytes.count > countOctetsMax || bytes.contains(where: { $0 > 1 && $0 < 0xff }) else { return .common }
    return commonStarts.contains { bytes.starts(with: $0) || $0.starts(with: bytes) } ? .common : .telling
  }

  /// Octets up to which zeros, ones and 0xff are taken for the counts, flags and lengths that most messages have.
  private static let countOctetsMax = 10

  /// Octets of a literal that may lie anywhere near the start.
  private static let nearMin = 4

  /// Of a stream or packet, a literal near the start is taken before any other: it is looked for in the
  /// first octets alone.
  ///
  /// - Parameters:
  ///   - programs: those that may be chosen from, with the index of their buffer step.
  ///   - reach: octets that the payload has at most.
  ///   - only: the number of the content to take, whatever the others are.
  ///   - takesCommonStarts: one near the start is taken that tells little, too.
  static func best(
    _ programs: [(step: Int?, program: PayloadProgram, weight: Int)], reach: UInt32 = .max, only: Int? = nil,
    takesCommonStarts: Bool = false
  ) -> Choice? {
    // The place of the best so far; its pattern is made once, at the end.
    var best: (program: Int, content: Int, bounds: LiteralBounds, rank: (Int, Int, Int))?
    var hasCommonStart = false
    for (index, (step, program, weight)) in programs.enumerated() {
      // A rule that also matches without the buffer cannot be found by what is in it.
      guard program.absence == .mustExist else { continue }
      let bounds = LiteralBounds.all(program)
      for (number, content) in program.contents.enumerated()
      where !content.isNegated && !content.bytes.isEmpty && (only == nil || only == number) {
        let bytes = chopped(content)
        // In streams and packets one that is positioned by another counts anywhere: being near the start, it would be
        // preferred to a longer one that tells more.
        let place = step == nil && content.isRelative ? LiteralBounds() : bounds[number]
        let nearness = step == nil ? nearness(bytes, constraint(content, place)) : .far
        if nearness == .common { hasCommonStart = true }
        let isNear = nearness == .telling || takesCommonStarts && nearness == .common
        let rank = (isNear ? 1 : 0, content.fastPattern != nil ? 1 : 0, strength(bytes) * weight / 100)
        if let best, rank <= best.rank { continue }
        best = (index, number, place, rank)
      }
    }
    return best.map { best in
      let (step, program, _) = programs[best.program]
      var choice = choice(program.contents[best.content], best.content, best.bounds, step, best.rank, reach)
      if step != nil, choice.content != nil, isWhole(choice.pattern.bytes.count, of: program) {
        choice.pattern.constraint.makeWhole(choice.pattern.bytes.count)
      }
      choice.isBesideCommonStart = hasCommonStart && !choice.isNearStart
      return choice
    }
  }

  /// The buffer must have just so many octets.
  ///
  /// - Source: `bsize:N` holds for a buffer that is complete alone.
  private static func isWhole(_ count: Int, of program: PayloadProgram) -> Bool {
    program.steps.contains { step in
      guard case .size(.equal(let size)) = step else { return false }
      return size == UInt64(count)
    }
  }

  private static func choice(
    _ content: ContentStep, _ number: Int, _ bounds: LiteralBounds, _ step: Int?, _ rank: (Int, Int, Int), _ reach: UInt32
  ) -> Choice {
    let bytes = chopped(content)
    var constraint = constraint(content, bounds)
    constraint.endMax = min(constraint.endMax, reach)
    constraint.sizeMax = reach
    return Choice(
      step: step,
      pattern: FastPattern(
        bytes: content.isCaseInsensitive ? bytes.map(ByteSearch.lower) : bytes,
        isCaseInsensitive: content.isCaseInsensitive, constraint: constraint),
      score: rank.2, isRequested: rank.1 != 0, isNearStart: rank.0 != 0,
      content: bytes.count == content.bytes.count ? number : nil)
  }

  private static func chopped(_ content: ContentStep) -> [UInt8] {
    guard case .chop(let offset, let length) = content.fastPattern, offset >= 0, length > 0,
      offset + length <= content.bytes.count
    else { return content.bytes }
    return Array(content.bytes[offset..<offset + length])
  }

  /// Rare bytes count more than letters, repeated ones hardly.
  private static func strength(_ bytes: [UInt8]) -> Int {
    // A bit for each octet seen.
    var seen = SIMD4<UInt64>()
    var sum = 0
    for byte in bytes.prefix(32) {
      let bit = UInt64(1) << UInt64(byte & 63)
      let isKnown = seen[Int(byte >> 6)] & bit != 0
      seen[Int(byte >> 6)] |= bit
      guard !isKnown else {
        sum += 1
        continue
      }
      switch byte {
      case 0x61...0x7a, 0x41...0x5a: sum += 3
      case 0x20...0x7e, 0x00, 0x01, 0x0a, 0x0d, 0xff: sum += 4
      default: sum += 6
      }
    }
    return sum
  }

  private static func constraint(_ content: ContentStep, _ bounds: LiteralBounds) -> HitConstraint {
    var constraint = HitConstraint()
    let whole = content.bytes.count
    var endInContent = whole
    if case .chop(let offset, let length) = content.fastPattern, offset + length <= whole {
      endInContent = offset + length
    }
    constraint.isAtEnd = content.endsWith && endInContent == whole
    if let end = bounds.end { constraint.endMax = UInt32(clamping: max(0, end - (whole - endInContent))) }
    // Of a literal that may lie anywhere behind another, its least place would only tell it from the same one elsewhere;
    // and the least place of one that has but a depth is no news.
    if bounds.end != nil && (content.isRelative || content.startsWith) || content.offset != nil {
      constraint.endMin = UInt32(clamping: bounds.start + endInContent)
    }
    return constraint
  }

  /// How well a buffer tells rules apart, in hundredths.
  static func weight(_ subject: BufferStep.Subject) -> Int {
    guard case .buffer(let id) = subject else { return 100 }
    switch id {
    // What is in it is found out at a cost: another literal is to be seen first.
    case .fileMagic: return 5
    case .httpMethod, .httpStatusCode, .httpStatusMessage, .httpProtocol: return 20
    case .httpHeaderNames, .httpAccept, .httpAcceptEncoding, .httpAcceptLanguage, .httpConnection,
      .httpContentLength, .httpContentType:
      return 50
    case .fileData, .httpResponseBody, .httpRequestBody, .httpHeader, .httpHeaderRaw, .httpStart: return 80
    default: return 100
    }
  }
}
