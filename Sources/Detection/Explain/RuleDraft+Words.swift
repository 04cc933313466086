import AppLayer
import RuleLanguage
import Traffic

// Compiled forms in words, for explanations.

extension Direction {
  var words: String { self == .toServer ? "to server" : "to client" }
}

extension FlowCondition {
  var words: [String] {
    let all: [(FlowCondition, String)] = [
      (.toServer, "to_server"), (.toClient, "to_client"), (.established, "established"),
      (.notEstablished, "not_established"), (.stateless, "stateless"), (.onlyStream, "only_stream"),
      (.noStream, "no_stream"), (.onlyFragment, "only_frag"), (.noFragment, "no_frag"),
    ]
    return all.filter { contains($0.0) }.map(\.1)
  }
}

extension RuleThreshold {
  var words: String {
    let parts = [kind == .detectionFilter ? "detection_filter" : "threshold type \(kind)", "track \(track.rawValue)", "count \(count)"]
    return (parts + (kind == .backoff ? ["multiplier \(multiplier)"] : ["seconds \(seconds)"])).joined(separator: ", ")
  }
}

extension ContentStep {
  /// The content alone; used where the rule's own words are not at hand.
  var words: String { (isNegated ? "content:!\"" : "content:\"") + OctetText.quoted(bytes) + "\"" }
}

/// Octets as a content writes them.
public enum OctetText {
  public static func quoted(_ bytes: some Sequence<UInt8>) -> String {
    var out = ""
    var isHex = false
    for byte in bytes {
      let isPlain = (0x20...0x7e).contains(byte) && !Array("|\";\\:".utf8).contains(byte)
      if isPlain {
        if isHex { out += "|" }
        out.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        out += isHex ? " " : "|"
        let digits = String(byte, radix: 16)
        out += digits.utf8.count < 2 ? "0" + digits : digits
      }
      isHex = !isPlain
    }
    return isHex ? out + "|" : out
  }
}

/// What one `flowbits`, `flowint`, `xbits` or `hostbits` option does with its variable.
struct VariableUseText {
  var text: String
  var isRead: Bool

  /// nil for `noalert`, which is about no variable.
  init?(_ option: RuleOption) {
    guard let value = option.valueText else { return nil }
    let items = value.split(separator: ",").map { String($0).trimmed }
    guard items.count > 1 else { return nil }
    text = "\(option.name) \(items.joined(separator: " "))"
    if option.name == "flowint" {
      isRead = !["=", "+", "-"].contains(items[1])
    } else {
      isRead = items[0].hasPrefix("is")
    }
  }
}

extension RuleDraft {
  var explainedKind: RuleExplanation.Kind {
    switch kind {
    case .addressOnly: .addresses
    case .packet: .packet
    case .payload:
      payloadScope == .packet ? .payload : payloadScope == .stream ? .stream : .payloadAndStream
    case .transaction: .transaction
    case .protocolFound: .protocolFound
    case .event: .event
    case .frame: .frame
    }
  }

  /// "TCP packets to server".
  /// - Parameter direction: the one meant; nil for all that the rule allows.
  func packetTraffic(_ direction: Direction? = nil) -> String {
    let names: [(ProtocolMask, String)] = [
      (.tcp, "TCP"), (.udp, "UDP"), (.icmp, "ICMP"), (.sctp, "SCTP"), (.other, "other IP"), (.noIP, "undecodable"),
    ]
    let protocols = head.protocols.isSuperset(of: .anyIP) ? "IP" : names.filter { head.protocols.contains($0.0) }.map(\.1).joined(separator: " and ")
    let directions = direction.map { [$0] } ?? Direction.allCases.filter { allows($0) }
    return "\(protocols) packets \(directions.count == 1 ? directions[0].words : "in both directions")"
  }

  func fill(_ result: inout RuleExplanation, _ ledger: RuleLedger) {
    result.conditions = ledger.conditions
    result.transactionConditions = ledger.transactionConditions
    if payload != nil { result.buffers.append(Self.buffer("payload", ledger.blocks[0])) }
    for (index, step) in buffers.enumerated() {
      var buffer = Self.buffer(step.subject.words, ledger.buffers.indices.contains(index) ? ledger.buffers[index] : .init())
      buffer.isMultiple = step.isMultiple
      buffer.isStreaming = step.isStreaming
      buffer.sources = step.sources.filter { head.appProtocols.allows($0.appProtocol) && (isTransactional || allows($0.direction)) }
        .map { "\($0.appProtocol.name) \($0.direction.words), from progress \($0.progress)" }
      result.buffers.append(buffer)
    }
  }

  private static func buffer(_ name: String, _ block: RuleLedger.Block) -> RuleExplanation.Buffer {
    var buffer = RuleExplanation.Buffer(name: name)
    buffer.transforms = block.transforms
    buffer.absence = block.absence
    buffer.steps = block.steps
    buffer.nested = block.nested
    return buffer
  }

  /// What a match does, and when it can.
  var effect: String {
    let isOnBytes = kind == .payload && payloadScope.contains(.stream) || kind == .transaction
    let reach = actionScope.map { $0 == .flow } ?? (isOnBytes || actsOnFlow) ? "and the rest of its flow" : "alone"
    switch info.action {
    case .alert: return isSilent ? "nothing is told; it sets its variables" : "an alert is told"
    case .pass: return "the packet \(reach) is inspected no further\(isSilent ? ", and nothing is told" : "")"
    case .drop: return "inline, the packet that completes the match \(reach) is dropped; what it needs before that has passed"
    case .reject, .rejectsrc, .rejectdst, .rejectboth:
      return "inline, the packet that completes the match \(reach) is dropped, and \(rejectText) told"
    case .config: return "nothing is told; it changes what is written, and sets its variables"
    }
  }

  private var rejectText: String {
    switch info.action {
    case .rejectdst: "the receiver is"
    case .rejectboth: "both sides are"
    default: "the sender is"
    }
  }
}

extension BufferStep.Subject {
  /// The keyword that names it.
  var words: String {
    switch self {
    case .payload: "payload"
    case .buffer(let id): KeywordTable.declaration(id)?.names.first ?? "\(id)"
    case .frame(let kind): "frame \(kind.appProtocol.name).\(kind.name)"
    case .packetHeader(let header): KeywordTable.headers.first { $0.value == header }?.key ?? "\(header)"
    }
  }
}
