import Diversion

extension Settings {
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
      sysctls += [.bridgeIPv4, .bridgeIPv6]
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
