import Diversion

extension Settings {
  /// What the kernel is to be told so that traffic reaches the daemon these settings describe.
  ///
  /// Connections for the TLS stage go through the queue once, so that they pass while no daemon runs
  /// and `fail-open` is set.
  public var diversionPlan: DiversionPlan {
    DiversionPlan(
      queues: capture.firstQueue...(capture.firstQueue &+ (capture.queueCount &- 1)),
      failOpen: capture.failsOpen, listenPort: interception.listenPort)
  }
}
