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
  /// Not the value is to blame but the keyword, which is unknown or does not belong there.
  public var blamesKeyword = false
  /// Keywords of which the rule's first is to blame, where the rule as a whole does not fit together.
  public var keywords: [String] = []

  public init(_ message: String, columnOffset: Int = 0, hint: String? = nil) {
    self.message = message
    self.columnOffset = columnOffset
    self.hint = hint
  }

  /// A fault of the keyword itself, whatever its value.
  public static func misplaced(_ message: String, hint: String? = nil) -> RuleValueError {
    var error = RuleValueError(message, hint: hint)
    error.blamesKeyword = true
    return error
  }

  /// The same fault, blamed on the first option that has one of the names.
  public func blaming(_ keywords: [String]) -> RuleValueError {
    var error = self
    error.keywords = keywords
    return error
  }

  /// The same fault, seen from a value that starts `count` bytes earlier.
  public func shifted(by count: Int) -> RuleValueError {
    var error = self
    error.columnOffset = columnOffset &+ count
    return error
  }
}
