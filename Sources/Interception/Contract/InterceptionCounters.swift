/// What one worker counted since its start.
public struct InterceptionCounters: Sendable, Equatable {
  public var accepted: UInt64 = 0
  public var adopted: UInt64 = 0
  /// Times that accepting paused at `connectionCountMax`, or for want of descriptors.
  public var acceptPauses: UInt64 = 0
  public var acceptFailures: UInt64 = 0
  public var active: UInt64 = 0
  public var relayedPlain: UInt64 = 0
  public var relayedTunnelled: UInt64 = 0
  public var relayedDecrypted: UInt64 = 0
  /// The server was called before the client spoke.
  public var serverFirst: UInt64 = 0
  public var policyBlocked: UInt64 = 0
  public var helloMalformed: UInt64 = 0
  public var helloTooLarge: UInt64 = 0
  public var helloTimeouts: UInt64 = 0
  public var dialFailures: UInt64 = 0
  public var dialTimeouts: UInt64 = 0
  /// The client's port was still taken towards that server (TIME_WAIT); the kernel chose another.
  public var otherPortFallbacks: UInt64 = 0
  /// The client's address could not be taken and this machine's was.
  public var ownAddressFallbacks: UInt64 = 0
  public var upstreamHandshakes: UInt64 = 0
  public var upstreamResumptions: UInt64 = 0
  public var upstreamHandshakeFailures: UInt64 = 0
  public var upstreamUntrusted: UInt64 = 0
  /// The same by what was wrong; see ``UpstreamDefect/Kind``.
  public private(set) var defects = [UInt64](repeating: 0, count: UpstreamDefect.Kind.allCases.count)
  public var defectsPassedOn: UInt64 = 0
  public var defectPages: UInt64 = 0
  /// Stapled OCSP responses by what they said.
  public var staplesGood: UInt64 = 0
  public var staplesUnusable: UInt64 = 0
  /// Servers that asked for a certificate of the client's.
  public var clientCertificateRequests: UInt64 = 0
  /// Connections that were called anew as tunnels, since the server did not take them without one.
  public var tunnelledAnew: UInt64 = 0
  /// Renegotiations that either side asked for; they are answered with `no_renegotiation`.
  public var renegotiationsRefused: UInt64 = 0
  /// Clients that offer less than the oldest version allowed.
  public var clientVersionTooLow: UInt64 = 0
  public var clientHandshakes: UInt64 = 0
  public var clientResumptions: UInt64 = 0
  public var clientHandshakeFailures: UInt64 = 0
  /// The client went away before the relay began.
  public var clientGone: UInt64 = 0
  public var handshakeTimeouts: UInt64 = 0
  public var leavesMinted: UInt64 = 0
  public var leafCacheHits: UInt64 = 0
  public var leafEvictions: UInt64 = 0
  /// Leaves that bear only some names of their original.
  public var leavesCut: UInt64 = 0
  public var mintingFailures: UInt64 = 0
  /// Times that the process with the authority's key was started again, and signatures that did not come in time.
  public var signerRestarts: UInt64 = 0
  public var signatureTimeouts: UInt64 = 0
  public var verificationCacheHits: UInt64 = 0
  public var sessionEvictions: UInt64 = 0
  /// Hellos inside a connection that were opened, and those beyond the limit.
  public var layers: UInt64 = 0
  public var layerLimits: UInt64 = 0
  /// Connections to sites of our own.
  public var terminated: UInt64 = 0
  /// Times that one of their listeners was full, and clients that were reset therefore.
  public var terminationLimits: UInt64 = 0
  public var terminationRefused: UInt64 = 0
  public var proxyHeadersMalformed: UInt64 = 0
  /// No site has the name.
  public var unknownNames: UInt64 = 0
  /// Calls to backends that came to nothing; the next backend is tried.
  public var backendFailures: UInt64 = 0
  /// No backend was left to try.
  public var withoutBackend: UInt64 = 0
  /// Requests that cannot be passed on because two readers could take them for two different things.
  public var requestsRefused: UInt64 = 0
  /// Refusals for want of a client certificate that may have been another's than the server's.
  public var clientCertificatesUnproven: UInt64 = 0
  /// Clients of sites that got a backend's connection that was there.
  public var backendsReused: UInt64 = 0
  /// Connections that had served before and ended, in whose place others were made.
  public var backendRetries: UInt64 = 0
  /// Clients that were answered in place of a backend which broke off.
  public var backendsUnanswered: UInt64 = 0
  public var cuts: UInt64 = 0
  public var blocks: UInt64 = 0
  /// Streams taken out of connections that went on.
  public var streamCuts: UInt64 = 0
  public var resets: UInt64 = 0
  public var relayFailures: UInt64 = 0
  public var idleTimeouts: UInt64 = 0
  public var stoppedConnections: UInt64 = 0
  public var finished: UInt64 = 0
  /// Octets written to the other side.
  public var bytesToServer: UInt64 = 0
  public var bytesToClient: UInt64 = 0
  /// Times one side was not read because the other could not take more.
  public var backpressure: UInt64 = 0

  public init() {}

  public subscript(kind: UpstreamDefect.Kind) -> UInt64 { defects[kind.index] }
  mutating func note(_ kind: UpstreamDefect.Kind) {
    upstreamUntrusted &+= 1
    defects[kind.index] &+= 1
  }
}
