import AppLayer
import RuleLanguage

/// Rules that could never match as they are written: Suricata refuses them, and so do we, for their author
/// means something else.
///
/// - Source: Suricata 8.0 says so when it loads such rules; its messages name the keyword.
extension RuleReader {
  /// Called once the parts of the rule are together.
  func checkContradictions() throws(RuleValueError) {
    try checkBuffersAreUsed()
    if let payload = draft.payload { try checkPacketSize(payload) }
    for step in draft.buffers {
      try checkBufferSize(step)
      for content in step.program.contents where step.program.transforms.isEmpty {
        try check(content, in: step)
      }
      if step.subject == .buffer(.httpHeaderRaw), !hasDirection {
        throw RuleValueError(
          "\(step.subject.words) needs a direction", hint: "flow:to_server or flow:to_client"
        ).blaming(step.spellings)
      }
    }
  }

  private var hasDirection: Bool {
    !draft.head.flow.isDisjoint(with: [.toServer, .toClient]) || draft.isTransactional
  }

  /// A buffer that is named is to be looked into.
  private func checkBuffersAreUsed() throws(RuleValueError) {
    for block in blocks.dropFirst() where !block.builder.hasSteps && !block.builder.hasAbsence {
      let words = block.subject.words
      throw RuleValueError(
        "nothing is asked of \(words)", hint: "\(words); content:\"…\""
      ).blaming([words] + (block.buffer.map { $0.declaration.names + $0.declaration.legacyModifiers } ?? []))
    }
  }

  // MARK: Lengths

  private func checkPacketSize(_ payload: PayloadProgram) throws(RuleValueError) {
    for condition in draft.conditions {
      guard case .packet(.payloadSize(.equal(let size))) = condition else { continue }
      let needed = payload.contents.octetsNeeded
      if needed > size {
        throw RuleValueError("the contents need \(needed) octets, dsize allows \(size)").blaming(["dsize"])
      }
    }
  }

  private func checkBufferSize(_ step: BufferStep) throws(RuleValueError) {
    let needed = step.program.contents.octetsNeeded
    for case .size(let condition) in step.program.steps {
      let most: UInt64
      switch condition {
      case .equal(let size), .lessOrEqual(let size): most = size
      case .less(let size): most = size &- 1
      case .between(_, let high): most = high &- 1
      case .notEqual, .greater, .greaterOrEqual, .notBetween, .bits, .notBits: continue
      }
      if needed > most {
        throw RuleValueError(
          "the contents need \(needed) octets, the length of \(step.subject.words) is at most \(most)"
        ).blaming(["bsize", "urilen"])
      }
    }
  }

  // MARK: Forms

  /// Contents that buffers of a fixed form never hold.
  private func check(_ content: ContentStep, in step: BufferStep) throws(RuleValueError) {
    guard case .buffer(let id) = step.subject else { return }
    let bytes = content.bytes
    let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
    let fault: String?
    switch id {
    case .httpMethod:
      fault = bytes.first.map(isBlank) == true || bytes.last.map(isBlank) == true ? "a method neither begins nor ends with a blank" : nil
    case .httpProtocol: fault = bytes.contains(0x20) ? "the protocol field holds no blank" : nil
    case .httpHost:
      if content.isCaseInsensitive {
        fault = "the host is in lower case, nocase has no meaning there"
      } else {
        fault = bytes.contains { (0x41...0x5a).contains($0) } ? "the host is in lower case" : nil
      }
    case .ja3Hash, .ja3sHash: fault = bytes.count == 32 ? nil : "a hash has 32 digits"
    case .tlsCertificateFingerprint:
      fault = bytes.count == 59 && bytes.contains(UInt8(ascii: ":")) ? nil : "a fingerprint is 20 pairs of digits with colons between them"
    case .tlsCertificateSerial:
      fault = bytes.count > 2 && !bytes.contains(UInt8(ascii: ":")) ? "a serial number has colons between its pairs of digits" : nil
    default: fault = nil
    }
    if let fault { throw RuleValueError("\(step.subject.words): \(fault)").blaming(step.spellings) }
  }
}

extension [ContentStep] {
  /// Octets that a buffer must have for the contents to lie where they must; negated ones count as in Suricata.
  fileprivate var octetsNeeded: UInt64 {
    var most: Int64 = 0
    var end: Int64 = 0
    for content in self {
      let length = Int64(content.bytes.count)
      var start: Int64 = 0
      if content.isRelative {
        start = end &+ (content.distance?.constant ?? 0)
      } else {
        start = content.offset?.constant ?? 0
      }
      // Contents, offsets and distances are below 2^21 each, and a rule has at most 4,096 options.
      let contentEnd = Swift.max(0, start &+ length)
      most = Swift.max(most, contentEnd)
      // Nothing counts from what must not be there.
      if !content.isNegated { end = contentEnd }
    }
    return UInt64(most)
  }
}

extension Operand {
  fileprivate var constant: Int64? { if case .constant(let value) = self { value } else { nil } }
}
