/// Server names that stand for themselves and every name below them.
public struct NameList: Sendable, Equatable {
  private var names: Set<String> = []

  public init(_ names: some Sequence<String> = []) { self.names = Set(names.map { Self.canonical($0) }) }

  /// One name a line; `#` begins a comment.
  /// - Returns: the names, or the first line that holds none.
  public static func parse(_ text: String) -> Result<NameList, LineError> {
    var list = NameList()
    // CR LF is one character, and none that equals LF.
    let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
    for (index, line) in lines.enumerated() {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
      guard let name = words.first else { continue }
      guard words.count == 1, isName(name) else { return .failure(LineError(line: index + 1, text: String(line))) }
      list.names.insert(canonical(name))
    }
    return .success(list)
  }

  public struct LineError: Error, Equatable {
    public var line: Int
    public var text: String
  }

  public var isEmpty: Bool { names.isEmpty }
  public var count: Int { names.count }

  public func union(_ other: NameList) -> NameList {
    var all = self
    all.names.formUnion(other.names)
    return all
  }

  /// The entry that covers `name`, the longest one where there are several.
  public func covering(_ name: String) -> String? {
    guard !names.isEmpty else { return nil }
    var rest = Substring(Self.canonical(name))
    while !rest.isEmpty {
      if names.contains(String(rest)) { return String(rest) }
      guard let dot = rest.firstIndex(of: ".") else { return nil }
      rest = rest[rest.index(after: dot)...]
    }
    return nil
  }

  /// Lower case, without the root's dot and without `*.` or `.` in front, as other lists write it.
  private static func canonical(_ name: some StringProtocol) -> String {
    var text = name.lowercased()[...]
    if text.hasPrefix("*.") { text = text.dropFirst(2) } else if text.hasPrefix(".") { text = text.dropFirst() }
    if text.hasSuffix(".") { text = text.dropLast() }
    return String(text)
  }

  private static func isName(_ name: some StringProtocol) -> Bool {
    let text = canonical(name)
    return (1...253).contains(text.utf8.count)
      && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
        (1...63).contains(label.utf8.count)
          && label.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x2d || byte == 0x5f
          }
      }
  }
}
