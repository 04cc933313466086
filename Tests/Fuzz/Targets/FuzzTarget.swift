/// Something that reads bytes of others, fed with whatever a fuzzer thinks of.
///
/// A target holds when it returns: no trap, no leak, no endless loop, and the invariants stated with it
/// (`precondition`, so that they hold in release builds too).
public struct FuzzTarget: Sendable, CustomStringConvertible {
  public let name: String
  public let run: @Sendable ([UInt8]) -> Void
  private let makeSeeds: @Sendable () -> [(name: String, bytes: [UInt8])]

  public init(
    _ name: String, _ run: @escaping @Sendable ([UInt8]) -> Void,
    seeds: @autoclosure @escaping @Sendable () -> [(name: String, bytes: [UInt8])]
  ) {
    self.name = name
    self.run = run
    makeSeeds = seeds
  }

  public var description: String { name }

  /// Where a fuzzer begins: right inputs by name.
  public var seeds: [(name: String, bytes: [UInt8])] { makeSeeds() }

  /// What stands on the decoders and parsers alone: a fuzzer of these is built anew in a third of the time.
  public static let parsers: [FuzzTarget] = [
    // A packet of any link type, with the packets inside.
    FuzzTarget("packets", PacketsTarget.run, seeds: PacketsTarget.seeds),
    // pcap and pcapng files, also compressed.
    FuzzTarget("captures", CapturesTarget.run, seeds: CapturesTarget.seeds),
    // Both sides of a connection to the protocol recognised in it.
    FuzzTarget("streams", StreamsTarget.run, seeds: StreamsTarget.seeds),
    // Protocols, each cut in two ways that may make no difference.
    FuzzTarget("http", HTTPTarget.run, seeds: HTTPTarget.seeds),
    FuzzTarget("http2", HTTP2Target.run, seeds: HTTP2Target.seeds),
    FuzzTarget("websocket", WebSocketTarget.run, seeds: WebSocketTarget.seeds),
    FuzzTarget("smtp", SMTPTarget.run, seeds: SMTPTarget.seeds),
    FuzzTarget("ssh", SSHTarget.run, seeds: SSHTarget.seeds),
    FuzzTarget("tls", TLSTarget.run, seeds: TLSTarget.seeds),
    FuzzTarget("dns", DNSTarget.run, seeds: DNSTarget.seeds),
    // FTP, SIP, POP3, telnet, likewise; DHCP, NTP, TFTP.
    FuzzTarget("sessions", SessionsTarget.run, seeds: SessionsTarget.seeds),
    // Datagrams, also with Initial packets that open.
    FuzzTarget("quic", QUICTarget.run, seeds: QUICTarget.seeds),
    // Read for rules, verified and minted.
    FuzzTarget("certificates", CertificatesTarget.run, seeds: CertificatesTarget.seeds),
    // What a client says to the explicit proxy.
    FuzzTarget("proxy", ProxyTarget.run, seeds: ProxyTarget.seeds),
    // What comes before, and in, a connection to a site of ours.
    FuzzTarget("proxy-header", ProxyHeaderTarget.run, seeds: ProxyHeaderTarget.seeds),
    FuzzTarget("requests", RequestsTarget.run, seeds: RequestsTarget.seeds),
    // The file of what was learned.
    FuzzTarget("bypasses", BypassesTarget.run, seeds: BypassesTarget.seeds),
    // Streams taken out of HTTP/2.
    FuzzTarget("http2-cut", HTTP2CutTarget.run, seeds: HTTP2CutTarget.seeds),
  ]
}
