import Inspection
import Interception

extension InterceptionRecord {
  /// What is told of an event of the TLS stage; nil for an end in order.
  init?(_ event: InterceptionEvent, _ connection: borrowing RelayConnectionFacts) {
    guard let (step, reason) = Self.words(event) else { return nil }
    var facts: [(name: String, value: String)] = []
    if let sni = connection.sni { facts.append(("sni", sni)) }
    if let decision = connection.decision {
      facts.append(("decision", String(describing: decision.action)))
      facts.append(("decision_reason", decision.reason))
    }
    if let backend = connection.backend { facts.append(("backend", backend)) }
    self.init(step: step, reason: reason, facts: facts + Self.facts(event, connection))
  }

  /// What only this kind of event has to tell.
  private static func facts(
    _ event: InterceptionEvent, _ connection: borrowing RelayConnectionFacts
  ) -> [(name: String, value: String)] {
    switch event {
    case .upstreamUntrusted(let defect, let reaction):
      var facts = [("defect", defect.kind.rawValue), ("reaction", reaction.rawValue)]
      if !defect.subject.isEmpty { facts.append(("defect_subject", defect.subject)) }
      return facts + CertificateFacts.upstream(connection)
    case .upstreamHandshakeFailed(let failure), .clientHandshakeFailed(let failure):
      return [("fault", failure.fault)]
    default: return []
    }
  }

  private static func words(_ event: InterceptionEvent) -> (step: String, reason: String)? {
    switch event {
    case .decided(let decision):
      decision.action == .inspect ? nil : ("decided", "\(decision.action): \(decision.reason)")
    case .helloMalformed(let text): ("hello_malformed", text)
    case .helloTooLarge: ("hello_too_large", "the ClientHello exceeds the limit")
    case .helloTimedOut: ("hello_timed_out", "the ClientHello was not completed in time")
    case .upstreamUnreachable(let text): ("upstream_unreachable", text)
    case .upstreamHandshakeFailed(let failure): ("upstream_handshake_failed", failure.text)
    case .upstreamUntrusted(let defect, let reaction):
      ("upstream_untrusted", defect.text + (reaction == .passedOn ? " (shown to the client)" : " (blocked)"))
    case .upstreamWantsClientCertificate:
      ("upstream_wants_client_certificate", "the server asks for a certificate that only the client has")
    case .clientCertificateUnproven(let doubt): ("client_certificate_unproven", doubt)
    case .minted(let fingerprint, let isTrusted):
      (
        "minted",
        (isTrusted ? "" : "untrusted ") + fingerprint.map { byte in
          (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined(separator: ":")
      )
    case .mintingFailed(let text): ("minting_failed", text)
    case .clientHandshakeFailed(let failure): ("client_handshake_failed", failure.text)
    case .handshakeTimedOut(let direction):
      ("handshake_timed_out", direction == .toServer ? "the client's leg" : "the server's leg")
    case .renegotiationRefused(let direction):
      ("renegotiation_refused", direction == .toServer ? "the client asked for it" : "the server asked for it")
    case .streamCut(let reason): ("stream_cut", reason)
    case .layerLimit: ("layer_limit", "TLS inside as many layers of TLS as are opened")
    case .proxyHeaderMalformed(let text): ("proxy_header_malformed", text)
    case .unknownName: ("unknown_name", "no site has the name")
    case .withoutBackend: ("without_backend", "no backend of the site can be reached")
    case .backendUnwell(let name): ("backend_unwell", name)
    case .ended(let end): words(end)
    case .bypassLearned(let entry): ("bypass_learned", "\(entry.key.server): \(entry.reason)")
    }
  }

  private static func words(_ end: RelayEnd) -> (step: String, reason: String)? {
    switch end {
    case .finished, .reset: nil
    case .failed(let direction, let text):
      ("relay_failed", (direction == .toServer ? "client: " : "server: ") + text)
    case .cut(let reason): ("cut", reason)
    case .blocked(let reason): ("blocked", reason)
    case .idleTimeout: ("idle_timeout", "no byte either way for too long")
    case .stopped: ("stopped", "the daemon stopped before the connection ended")
    }
  }
}
