/// Where in its buffer a content may lie, whatever the contents before it match.
///
/// A content that is positioned by another one inherits that one's bounds, so that a literal behind a `depth`, or
/// behind a number read from the first octets, is known to lie near the start, too.
struct LiteralBounds: Sendable, BitwiseCopyable {
  /// Octets from the start of the whole buffer to where it begins, at least.
  var start = 0
  /// To where it ends, at most; nil where nothing says so.
  var end: Int?

  /// Positions in rules above which no bound is worth to be known.
  private static let farthest = 1 << 30

  /// The bounds of each content of a program, in the order of ``PayloadProgram/contents``.
  ///
  /// - Source: what ``ContentInstruction`` takes for its window, and what each other step makes of the cursor.
  static func all(_ program: PayloadProgram) -> [LiteralBounds] {
    var all: [LiteralBounds] = []
    // Where the next relative step counts from.
    var cursor = LiteralBounds(start: 0, end: 0)
    for step in program.steps {
      switch step {
      case .content(let content):
        let bounds = of(content, from: cursor)
        all.append(bounds)
        if !content.isNegated {
          cursor = LiteralBounds(start: clamp(bounds.start + Int(content.literalCount)), end: bounds.end)
        }
      case .byteExtract(let extract):
        cursor = behind(extract.shape, .constant(extract.offset), .constant(extract.byteCount), from: cursor)
      case .byteMath(let math):
        cursor = behind(math.shape, .constant(math.offset), math.byteCount, from: cursor)
      case .byteJump: cursor = LiteralBounds()
      case .pcre(let expression): if !expression.isNegated { cursor = LiteralBounds() }
      case .byteTest, .isDataAt, .size, .base64, .entropy, .dataset, .asn1: break
      }
    }
    return all
  }

  private static func of(_ content: ContentInstruction, from cursor: LiteralBounds) -> LiteralBounds {
    if content.isRelative {
      guard case .constant(let distance)? = content.distance ?? .constant(0) else { return LiteralBounds() }
      let far = clamp(distance)
      var bounds = LiteralBounds(start: max(0, cursor.start + far))
      if case .constant(let within)? = content.within, let end = cursor.end { bounds.end = end + far + clamp(within) }
      return bounds.sane
    }
    if content.startsWith { return LiteralBounds(start: 0, end: Int(content.literalCount)) }
    guard case .constant(let offset)? = content.offset ?? .constant(0) else { return LiteralBounds() }
    let start = clamp(offset)
    var bounds = LiteralBounds(start: max(0, start))
    if case .constant(let depth)? = content.depth { bounds.end = start + clamp(depth) }
    return bounds.sane
  }

  /// Where the cursor is behind a number. Digits may be fewer than are asked for.
  private static func behind(
    _ shape: NumberShape, _ offset: Operand, _ count: Operand, from cursor: LiteralBounds
  ) -> LiteralBounds {
    guard case .constant(let offset) = offset, case .constant(let count) = count else { return LiteralBounds() }
    let from = shape.isRelative ? cursor : LiteralBounds(start: 0, end: 0)
    let far = clamp(offset)
    let octets = clamp(count)
    return LiteralBounds(
      start: max(0, from.start + far + (shape.isText ? 0 : octets)),
      end: from.end.map { $0 + far + (octets > 0 ? octets : farthest) }
    ).sane
  }

  /// Bounds that are no use are none.
  private var sane: LiteralBounds {
    guard let end, end < Self.farthest else { return LiteralBounds(start: start) }
    return LiteralBounds(start: start, end: max(0, end))
  }

  private static func clamp(_ value: Int64) -> Int { Int(min(max(value, Int64(-farthest)), Int64(farthest))) }
  private static func clamp(_ value: Int) -> Int { min(max(value, -farthest), farthest) }
}
