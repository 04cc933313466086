/// Why the rest of a flow need not be seen.
public enum ReleaseReason: String, Sendable, Hashable, CaseIterable {
  /// A rule with `bypass` matched.
  case rule = "bypass"
  /// A rule with `pass` took the flow.
  case pass
  /// TLS that is not opened, once its handshake is over.
  case encrypted
  /// TLS that policy leaves alone, once its handshake is over.
  case tunnel
  /// Both directions have reached `stream.reassembly.depth`.
  case depth
  /// An exception policy said `bypass`.
  case policy
  /// An operator said so.
  case `operator`

  /// Whether other rules could decide otherwise about what is inside the flow.
  var isUpToRules: Bool {
    switch self {
    case .rule, .pass: true
    case .encrypted, .tunnel, .depth, .policy, .operator: false
    }
  }
}

/// What the kernel counted of a connection from its beginning on.
public struct KernelCounts: Sendable {
  public var toServer: (packets: UInt64, bytes: UInt64)
  public var toClient: (packets: UInt64, bytes: UInt64)

  public init(toServer: (packets: UInt64, bytes: UInt64), toClient: (packets: UInt64, bytes: UInt64)) {
    self.toServer = toServer
    self.toClient = toClient
  }


}

extension FlowRecord {
  /// The kernel's counts hold what was seen here too; where they are less they are of another time.
  mutating func take(_ counts: KernelCounts) {
    var bypassed = (toServer: Side(), toClient: Side())
    if counts.toServer.packets > toServer.packets {
      bypassed.toServer.packets = counts.toServer.packets &- toServer.packets
      bypassed.toServer.bytes = counts.toServer.bytes &- min(counts.toServer.bytes, toServer.bytes)
      toServer.packets = counts.toServer.packets
      toServer.bytes = max(toServer.bytes, counts.toServer.bytes)
    }
    if counts.toClient.packets > toClient.packets {
      bypassed.toClient.packets = counts.toClient.packets &- toClient.packets
      bypassed.toClient.bytes = counts.toClient.bytes &- min(counts.toClient.bytes, toClient.bytes)
      toClient.packets = counts.toClient.packets
      toClient.bytes = max(toClient.bytes, counts.toClient.bytes)
    }
    self.bypassed = bypassed
  }
}
