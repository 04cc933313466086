/// What the tests beside rules came to.
public struct RuleTestReport: Sendable {
  public var passed = 0
  public var failures: [RuleTestFailure] = []

  public init() {}

  mutating func add(_ other: RuleTestReport) {
    passed += other.passed
    failures += other.failures
  }
}

/// A test that did not come out as it says, or that could not be done.
public struct RuleTestFailure: Sendable {
  public var file: String
  /// Of the `# test:` line, from 1.
  public var line: Int
  /// Of the rule below; nil when it could not be read.
  public var sid: UInt32?
  /// `http-request`, …; nil when the test itself could not be read.
  public var kind: String?
  /// "alert" or "quiet"; nil when the test itself could not be read.
  public var expected: String?
  /// Why the test could not be done; nil when it was done and came out differently.
  public var reason: String?
  /// The rules that fired.
  public var fired: [UInt32] = []
  /// The beginning of what was sent, on one line.
  public var text = ""

  /// One line for a person.
  public var description: String {
    var out = "\(file):\(line): "
    if let sid { out += "sid \(sid): " }
    if let kind { out += "\(kind): " }
    if let reason {
      out += reason
    } else {
      out += expected == "alert" ? "must alert and did not" : "must stay quiet and did not"
      out += fired.isEmpty ? "; nothing fired" : "; fired: \(fired.map { "\($0)" }.joined(separator: ", "))"
    }
    return text.isEmpty ? out : out + "; \(text)"
  }
}
