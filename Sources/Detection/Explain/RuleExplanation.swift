import RuleLanguage
import Traffic

/// How a rule was compiled, in words: `sluice rules explain` and `sluice eval --explain` show it.
public struct RuleExplanation: Sendable {
  /// When the rule is tried.
  public enum Kind: String, Sendable {
    case addresses = "addresses only, once for each direction of a flow"
    case packet = "packet"
    case payload = "packet payload"
    case stream = "stream"
    case payloadAndStream = "packet payload and stream"
    case transaction = "app transaction"
    case protocolFound = "application protocol, once for each direction of a flow"
    case event = "packet with an event"
    case frame = "frames of an application protocol"
  }

  /// What the header asks of one side.
  public struct Side: Sendable {
    public var addresses: String
    public var ports: String
  }

  /// The steps over one buffer, in the order in which they run.
  public struct Buffer: Sendable {
    public var name: String
    /// Where it comes from: "http to server, from progress 1".
    public var sources: [String] = []
    public var isMultiple = false
    public var isStreaming = false
    public var transforms: [String] = []
    public var absence: String?
    public var steps: [String] = []
    /// Steps over what base64_decode gives.
    public var nested: [String] = []
  }

  /// A content that the rule may be found by.
  public struct Literal: Sendable {
    public var buffer: String
    /// As the rule says it: `content:"abc"; nocase`.
    public var text: String
    /// What is looked for: a part of the content where the rule asks for that.
    public var bytes: [UInt8]
    public var isCaseInsensitive: Bool
    public var isRequested: Bool
    /// How rare its octets are, weighted by the buffer.
    public var score: Int
    /// Where its end must lie in the buffer, octets from the start.
    public var endMin: UInt32?
    public var endMax: UInt32?
    public var isAtEnd: Bool
  }

  /// Traffic in which the rule is looked for, and by what.
  public struct Group: Sendable {
    /// "transactions of http to server".
    public var traffic: String
    /// How the rule is found in it: a table of literals, or none.
    public var lookup: String
    public var fastPattern: Literal?
    /// Why this literal: nil where the rule has none.
    public var reason: String?
  }

  public var sid: UInt32
  public var gid: UInt32
  public var rev: UInt32
  public var action: RuleAction
  public var message: String
  public var priority: UInt8
  public var location: RuleLocation
  public var text: String
  public var kind: Kind
  /// The protocol as the header has it, with the hook if it names one.
  public var protocolName: String
  public var hook: String?
  public var appProtocols: [String] = []
  public var source: Side
  public var destination: Side
  /// "->", "<>" or "=>".
  public var arrow: String
  /// Directions of a flow in which the rule is tried.
  public var directions: [String] = []
  public var flow: [String] = []
  /// Conditions on packet and flow, in the words of the rule.
  public var conditions: [String] = []
  /// Conditions on the transaction that are no buffers.
  public var transactionConditions: [String] = []
  /// The payload first, then buffers in the order in which they run.
  public var buffers: [Buffer] = []
  public var groups: [Group] = []
  /// Contents that were not chosen as fast pattern.
  public var otherLiterals: [Literal] = []
  /// Flowbits, flowints, xbits and hostbits: "flowbits isset a".
  public var reads: [String] = []
  public var writes: [String] = []
  public var threshold: String?
  public var suppressions: Int = 0
  public var isSilent = false
  /// What the action does, and from when on.
  public var effect: String = ""
}
