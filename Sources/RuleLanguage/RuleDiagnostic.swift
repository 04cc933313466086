/// A place in a rule or configuration file.
///
/// Lines and columns count from 1; a column counts bytes, not characters, since rules may hold any bytes.
public struct RuleLocation: Sendable, Hashable, CustomStringConvertible {
  public var file: String
  public var line: Int
  public var column: Int

  public init(file: String, line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }

  public var description: String { "\(file):\(line):\(column)" }
}

/// What is wrong with a rule file, where, and how to mend it where that is known.
///
/// The fault is the rule author's; the caller reports it and goes on with the other rules.
public struct RuleDiagnostic: Sendable, Hashable, CustomStringConvertible, Error {
  public enum Severity: String, Sendable, Hashable {
    /// The rule is refused.
    case error
    /// The rule is loaded; its author should look at it.
    case warning
  }

  public var severity: Severity
  public var location: RuleLocation
  /// The rule's sid, where its text lets us find one, even if the rule is broken.
  public var sid: UInt32?
  public var message: String
  public var hint: String?

  public init(
    severity: Severity = .error, location: RuleLocation, sid: UInt32? = nil, message: String,
    hint: String? = nil
  ) {
    self.severity = severity
    self.location = location
    self.sid = sid
    self.message = message
    self.hint = hint
  }

  public var file: String { location.file }
  public var line: Int { location.line }
  public var column: Int { location.column }

  /// `file:line:column: error: message (hint)`
  public var description: String {
    let suffix = hint.map { " (\($0))" } ?? ""
    return "\(location): \(severity.rawValue): \(message)\(suffix)"
  }
}

/// What is wrong with one value, before it is known where that value stands.
///
/// ``RuleOption/diagnostic(_:sid:)`` turns it into a ``RuleDiagnostic``.
public struct RuleValueError: Error, Sendable, Hashable {
  public var message: String
  /// Bytes from the start of the value that was handed in to the fault.
  public var columnOffset: Int
  public var hint: String?

  public init(_ message: String, columnOffset: Int = 0, hint: String? = nil) {
    self.message = message
    self.columnOffset = columnOffset
    self.hint = hint
  }

  /// The same fault, seen from a value that starts `count` bytes earlier.
  public func shifted(by count: Int) -> RuleValueError {
    RuleValueError(message, columnOffset: columnOffset &+ count, hint: hint)
  }
}
