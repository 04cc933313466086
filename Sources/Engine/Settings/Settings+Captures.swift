import Inspection

extension Settings {
  /// The keys of single exception policies and where their values go.
  static let exceptionPolicyPaths:
    [(path: String, part: WritableKeyPath<ExceptionPolicies, ExceptionPolicy> & Sendable)] = [
      ("flow.memcap-policy", \.flowMemcap), ("defrag.memcap-policy", \.defragMemcap),
      ("stream.memcap-policy", \.streamMemcap),
      ("stream.reassembly.memcap-policy", \.reassemblyMemcap),
      ("stream.midstream-policy", \.midstream), ("app-layer.error-policy", \.appLayerError),
    ]

  /// Settles what depends on whether traffic can be stopped, for stored captures: what is not set is as
  /// Suricata has it, also that sessions not seen from their start are dropped.
  ///
  /// - Parameter isInline: drops take effect on the rest of the flow.
  public mutating func prepareForCaptures(isInline: Bool) {
    settle(isInline: isInline)
    // What is told must not depend on how fast the machine is, unless it was asked for.
    if !isRuleBudgetSet { inspection.ruleBudget.action = .off }
    let unset = isInline ? ExceptionPolicy.dropFlow : .ignore
    for (path, part) in Self.exceptionPolicyPaths {
      inspection.exceptionPolicies[keyPath: part] =
        exceptionPolicies[path] ?? exceptionPolicies["exception-policy"] ?? unset
    }
    if exceptionPolicies["stream.midstream-policy"] == nil, exceptionPolicies["exception-policy"] == nil,
      inspection.flows.tcp.midstream
    {
      inspection.exceptionPolicies.midstream = .ignore
    }
    inspection.flows.tcp.refusesEndsWithoutSession = isInline
    switch inspection.exceptionPolicies.midstream {
    case .ignore, .passFlow, .passPacket: break
    case .bypass, .dropFlow, .dropPacket, .reject: inspection.flows.tcp.refusesMidstream = true
    }
  }

  /// Settles the same for live traffic, where connections older than the daemon live on unless a
  /// policy says otherwise, and faults follow `capture.fail-open`.
  public mutating func prepareForTraffic(isInline: Bool) {
    settle(isInline: isInline)
    let unset = isInline && !capture.failsOpen ? ExceptionPolicy.dropFlow : .ignore
    for (path, part) in Self.exceptionPolicyPaths {
      inspection.exceptionPolicies[keyPath: part] =
        exceptionPolicies[path] ?? exceptionPolicies["exception-policy"] ?? unset
    }
    if exceptionPolicies["stream.midstream-policy"] == nil { inspection.exceptionPolicies.midstream = .ignore }
    inspection.flows.tcp.renewsSessions = isInline
    // Neither a hole nor an outage: what is dropped is sent again, and goes through when it is next in order.
    if exceptionPolicies["stream.reassembly.memcap-policy"] == nil, exceptionPolicies["exception-policy"] == nil {
      inspection.exceptionPolicies.reassemblyMemcap = isInline ? .dropPacket : .ignore
    }
  }

  /// `stream.inline` unset or `auto` follows the mode.
  private mutating func settle(isInline: Bool) {
    inspection.isInline = isInline
    let onArrival = inspection.inspectsOnArrival ?? isInline
    inspection.appLayer.http.showsBodiesAtOnce = isInline || onArrival
    inspection.flows.tcp.isInline = onArrival
    inspection.reassembly.delivery = onArrival ? .inline : .acknowledged
  }
}
