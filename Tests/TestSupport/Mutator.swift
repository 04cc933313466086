/// Damages inputs in the ways that break parsers; the same seed damages the same way.
public struct Mutator: Sendable {
  public var generator: SeededGenerator
  /// Values that lengths and counts tend to be compared with.
  private static let edges: [UInt8] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff]

  public init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  /// One to four damages: bit flips, edge values, truncation, duplication, removal, splice, noise.
  public mutating func mutate(_ input: [UInt8]) -> [UInt8] {
    var out = input
    for _ in 0...Int.random(in: 0...3, using: &generator) { out = damage(out) }
    return out
  }

  /// `count` damaged variants of `input`, one by one.
  public mutating func forEachMutation(
    of input: [UInt8], count: Int, _ body: ([UInt8]) throws -> Void
  ) rethrows {
    for _ in 0..<count { try body(mutate(input)) }
  }

  /// The head of one input and the tail of another.
  public mutating func splice(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
    let head = left.prefix(Int.random(in: 0...left.count, using: &generator))
    return Array(head + right.dropFirst(Int.random(in: 0...right.count, using: &generator)))
  }

  /// Cuts `input` into pieces of 1…`most` octets, to feed a stream parser.
  public mutating func pieces(of input: [UInt8], most: Int) -> [[UInt8]] {
    var out: [[UInt8]] = []
    var rest = input[...]
    while !rest.isEmpty {
      let count = min(rest.count, Int.random(in: 1...max(1, most), using: &generator))
      out.append(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    return out
  }

  private mutating func damage(_ input: [UInt8]) -> [UInt8] {
    guard !input.isEmpty else { return generator.bytes(Int.random(in: 1...16, using: &generator)) }
    var out = input
    let index = Int.random(in: 0..<out.count, using: &generator)
    let end = min(out.count, index + Int.random(in: 1...32, using: &generator))
    switch Int.random(in: 0..<8, using: &generator) {
    case 0, 1: out[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 2: out[index] = Self.edges.randomElement(using: &generator) ?? 0
    case 3: out.removeLast(out.count - index)
    case 4: out.insert(contentsOf: out[index..<end], at: index)
    case 5: out.removeSubrange(index..<end)
    case 6: out.replaceSubrange(index..<end, with: generator.bytes(end - index))
    default: out = splice(out, out)
    }
    return out
  }
}
