import Diversion

extension Settings {
  /// The plan for this machine as it is; nil for modes that need nothing of the kernel.
  /// - Parameter tell: gets what the operator should know of how it was chosen.
  public func diversionPlan(
    on commands: some CommandRunner, tell: (String) -> Void = { _ in }
  ) throws(DiversionError) -> DiversionPlan? {
    guard let first = diversionPlan() else { return nil }
    let look = Diversion(plan: first, commands: commands)
    if capture.mode == .bridge {
      guard let address = try look.bridgeAddress(capture.bridge) else {
        throw .unusable(faults: ["there is no bridge \(capture.bridge) (capture.bridge)"])
      }
      return diversionPlan(bridgeAddress: address)
    }
    guard capture.mode == .router, capture.translates == nil else { return first }
    let translation = try look.addressTranslation()
    if let translation { tell("this machine translates addresses (\(translation)): packets are taken in FORWARD") }
    return diversionPlan(translates: translation != nil)
  }

  /// What the kernel is to be told so that traffic reaches the daemon these settings describe; nil for modes
  /// that need nothing of it.
  ///
  /// Connections for the TLS stage go through the queue once, so that they pass while no daemon runs
  /// and `fail-open` is set.
  /// - Parameters:
  ///   - translates: whether this machine translates addresses, where the settings leave that open.
  ///   - bridgeAddress: of the bridge named in the settings.
  public func diversionPlan(translates: Bool = false, bridgeAddress: String = "") -> DiversionPlan? {
    let variant: DiversionVariant
    var sysctls: [SysctlSetting] = [.noTimeWait, .shortHandshake, .accounting]
    switch capture.mode {
    case .router: variant = capture.translates ?? translates ? .translatingRouter : .router
    case .bridge:
      variant = .bridge(name: capture.bridge, address: bridgeAddress)
      sysctls += [.bridgeIPv4, .bridgeIPv6, .anyReversePath("all"), .anyReversePath(capture.bridge)]
    case .host:
      variant = .host
      sysctls = [.accounting]
    case .tap, .explicit, .terminate: return nil
    }
    return DiversionPlan(
      variant: variant, queues: capture.firstQueue...(capture.firstQueue &+ (capture.queueCount &- 1)),
      failOpen: capture.failsOpen, listenPort: interception.listenPort, sysctls: sysctls)
  }
}
