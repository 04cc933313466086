/// One rule as written: header, options in order, and where it stands.
///
/// What keywords mean is not known here; the rule is well formed, and its sid, gid and rev are numbers.
/// - Source: Suricata 8 "Rules Format".
public struct RuleSyntax: Sendable {
  public let action: RuleAction
  /// How far the action reaches; nil where the rule leaves it to what matches.
  public let actionScope: RuleActionScope?
  /// The protocol in lower case, e.g. `tcp`, `http`, `tcp-pkt`.
  public let protocolName: String
  /// What follows a colon in the protocol, e.g. `request_line` of `http1:request_line` (Suricata 8 hooks).
  public let protocolHook: String?
  public let source: AddressExpression
  public let sourcePorts: PortExpression
  public let direction: RuleDirection
  public let destination: AddressExpression
  public let destinationPorts: PortExpression
  public let options: [RuleOption]
  /// False for a rule read from a comment.
  public let isEnabled: Bool
  public let sid: UInt32
  public let gid: UInt32
  public let rev: UInt32

  /// Where the action stands.
  public let location: RuleLocation

  let text: RuleText
  let headerOffsets: RuleHeaderOffsets

  /// The rule as written; continued lines are joined. Copies it.
  public var bytes: [UInt8] { Array(text.source.bytes[text.range]) }

  /// What `msg` says, without quotes and escapes; nil if the rule has none.
  public var message: [UInt8]? {
    guard let value = first("msg")?.value else { return nil }
    return try? QuotedString.parse(value)
  }

  /// The first option of that name (lower case).
  public func first(_ name: String) -> RuleOption? { options.first { $0.name == name } }

  /// A part of the header, for diagnostics.
  public enum HeaderPart: Sendable {
    case action, protocolName, source, sourcePorts, direction, destination, destinationPorts
  }

  public func location(of part: HeaderPart) -> RuleLocation {
    text.location(of: headerOffsets[part])
  }

  /// The diagnostic for an error met while a part of the header was resolved.
  public func diagnostic(_ error: RuleValueError, in part: HeaderPart) -> RuleDiagnostic {
    RuleDiagnostic(
      location: text.location(of: headerOffsets[part] &+ error.columnOffset), sid: sid,
      message: error.message, hint: error.hint)
  }
}

/// Where a rule stands in its source.
struct RuleText: Sendable {
  var source: RuleSource
  /// The bytes of the rule, from the action to the last byte that is not blank.
  var range: Range<Int>
  /// Offset, line and column of one byte at or before the rule's first, on its line.
  var anchor: Int
  var line: Int
  var column: Int

  func location(of offset: Int) -> RuleLocation {
    source.location(of: offset, anchor: anchor, line: line, column: column)
  }
}

/// Offsets of the header's parts from the start of the rule's source.
struct RuleHeaderOffsets: Sendable {
  var action: UInt32 = 0
  var protocolName: UInt32 = 0
  var source: UInt32 = 0
  var sourcePorts: UInt32 = 0
  var direction: UInt32 = 0
  var destination: UInt32 = 0
  var destinationPorts: UInt32 = 0

  subscript(part: RuleSyntax.HeaderPart) -> Int {
    switch part {
    case .action: Int(action)
    case .protocolName: Int(protocolName)
    case .source: Int(source)
    case .sourcePorts: Int(sourcePorts)
    case .direction: Int(direction)
    case .destination: Int(destination)
    case .destinationPorts: Int(destinationPorts)
    }
  }
}
