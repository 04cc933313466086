/// Compiled databases on disk.
struct PatternCache: Sendable {
  let directory: String

  func load(_ patterns: [FastPattern]) -> PatternDatabase? { nil }
  func store(_ database: PatternDatabase, _ patterns: [FastPattern]) {}
}
