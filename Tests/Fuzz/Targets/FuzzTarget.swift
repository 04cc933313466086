/// Everything that reads bytes of others, each fed with whatever a fuzzer thinks of.
///
/// A target holds when it returns: no trap, no leak, no endless loop, and the invariants stated with it
/// (`precondition`, so that they hold in release builds too).
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// Rule, classification, reference and threshold files, compiled as far as they are right.
  case rules
  /// A packet of any link type, with the packets inside.
  case packets
  /// pcap and pcapng files, also compressed.
  case captures
  /// TCP segments in any order, through flows, streams, protocols and rules.
  case path
  /// Both sides of a connection to the protocol recognised in it.
  case streams
  /// HTTP/1, cut in two ways that may make no difference.
  case http
  /// TLS: both sides, the hello as the relay peeks at it, a certificate.
  case tls
  /// DNS as datagram and as stream.
  case dns
  /// A configuration file with its TLS policy.
  case configuration
  /// A request of the control socket.
  case control

  public func run(_ bytes: [UInt8]) {
    switch self {
    case .rules: RulesTarget.run(bytes)
    case .packets: PacketsTarget.run(bytes)
    case .captures: CapturesTarget.run(bytes)
    case .path: PathTarget.run(bytes)
    case .streams: StreamsTarget.run(bytes)
    case .http: HTTPTarget.run(bytes)
    case .tls: TLSTarget.run(bytes)
    case .dns: DNSTarget.run(bytes)
    case .configuration: ConfigurationTarget.run(bytes)
    case .control: ControlTarget.run(bytes)
    }
  }

  /// Where a fuzzer begins: right inputs by name.
  public var seeds: [(name: String, bytes: [UInt8])] {
    switch self {
    case .rules: RulesTarget.seeds
    case .packets: PacketsTarget.seeds
    case .captures: CapturesTarget.seeds
    case .path: PathTarget.seeds
    case .streams: StreamsTarget.seeds
    case .http: HTTPTarget.seeds
    case .tls: TLSTarget.seeds
    case .dns: DNSTarget.seeds
    case .configuration: ConfigurationTarget.seeds
    case .control: ControlTarget.seeds
    }
  }
}
