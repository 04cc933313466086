import Traffic

/// Everything that can be set about the stage; immutable while a worker runs.
public struct InterceptionSettings: Sendable {
  public struct Destination: Sendable, Hashable {
    public var address: IPAddress
    public var port: UInt16
    public init(address: IPAddress, port: UInt16) {
      self.address = address
      self.port = port
    }
  }

  /// From whose address the server is called.
  public enum SourceAddress: Sendable, Hashable {
    /// The client's address and port (another port where that one lingers in TIME_WAIT); a
    /// connection for which that fails is refused.
    case client
    /// The client's address and port, or this machine's where that fails.
    case clientOrOwn
    /// This machine's (loopback tests, explicit proxy).
    case own
  }

  /// What the client is shown of a server whose certificate does not verify.
  public enum UntrustedUpstream: String, Sendable, Hashable, CaseIterable {
    case block
    /// A leaf with the same names and dates by a CA that nobody trusts, so that the client warns.
    case passDefect = "pass-defect"
  }

  public enum CutStyle: Sendable, Hashable {
    /// RST to both sides.
    case reset
    /// The client gets a TLS alert (fatal `access_denied` before the handshake, close_notify
    /// within TLS: OpenSSL sends no other) and FIN; the server RST.
    case alert
  }

  public enum MalformedHello: Sendable, Hashable {
    case reset
    /// Relay as plain bytes, still inspected.
    case relay
  }

  /// Where every connection goes; nil for the destination that the client asked for.
  public var fixedDestination: Destination?
  public var sourceAddress: SourceAddress = .client
  /// SO_MARK of the sockets towards clients and servers; 0 for none. Both lie in the mask that
  /// the diversion rules leave to the stage.
  public var clientMark: UInt32 = 0x100
  public var serverMark: UInt32 = 0x200

  public var untrustedUpstream: UntrustedUpstream = .block
  /// The same for single defects; an entry of the policy comes before both.
  public var defectReactions: [UpstreamDefect.Kind: UntrustedUpstream] = [:]
  public var cutStyle: CutStyle = .reset
  public var malformedHello: MalformedHello = .reset

  /// TLS versions on both legs, by their numbers (0x0303 is TLS 1.2). Below 1.2 SHA-1 signatures of
  /// handshakes are taken too, since those versions know no other.
  public var versionMin: UInt16 = 0x0303
  public var versionMax: UInt16 = 0x0304

  /// HTTP/2 is offered to servers where the client offers it.
  public var offersHTTP2 = true

  /// How long a silent client is waited for before the server is called, for protocols in which
  /// the server speaks first. Milliseconds.
  public var serverFirstWaitMilliseconds: Int64 = 300
  /// From the first byte of a ClientHello to its last; then the client is reset.
  public var helloTimeoutMilliseconds: Int64 = 10_000
  public var dialTimeoutMilliseconds: Int64 = 10_000
  /// Each of the two TLS handshakes.
  public var handshakeTimeoutMilliseconds: Int64 = 10_000
  /// How long a TLS 1.3 server that asked for a client certificate is waited for: it ends the connection over
  /// the lack of one only after the handshake (RFC 8446 section 4.4.2.4).
  public var clientCertificateWaitMilliseconds: Int64 = 1_000
  /// No byte either way for so long: both sides are reset.
  public var idleTimeoutMilliseconds: Int64 = 600_000
  /// How long a client may take to read a block page and close.
  public var closingTimeoutMilliseconds: Int64 = 5_000
  /// How long connections may go on after the worker was told to stop.
  public var drainTimeoutMilliseconds: Int64 = 10_000

  public enum LayerLimit: String, Sendable, Hashable, CaseIterable {
    /// The connection is cut.
    case block
    /// What is inside stays encrypted.
    case pass
  }

  /// Layers of TLS of one connection that are opened, and what becomes of further ones.
  public var layerCountMax = 3
  public var layerLimit = LayerLimit.block
  /// Octets of client and server within which a hello may come inside a connection; as on the wire.
  public var layerClientBytesMax = 32_768
  public var layerServerBytesMax = 262_144

  /// Octets up to the end of the ClientHello; beyond it the client is reset.
  public var helloBytesMax = 65_536
  /// Connections at a time in one worker; at the limit no more are accepted until one ends.
  public var connectionCountMax = 20_000
  public enum MintingFailure: String, Sendable, Hashable, CaseIterable {
    /// The client gets the alert `internal_error`.
    case block
    /// The server is called anew and what passes stays encrypted, where nothing has passed yet.
    case tunnel
  }

  /// How long the process with the authority's key may take for a signature, its restart included.
  public var signatureWaitMilliseconds: Int64 = 3_000
  /// What becomes of a connection whose leaf can't be made.
  public var mintingFailure = MintingFailure.block
  /// Minted leaves a worker keeps; the least recently used one goes first.
  public var leafCountMax = 2_048
  /// Sessions of servers a worker keeps for resumption; the least recently used one goes first.
  public var sessionCountMax = 4_096
  /// For how long one is used: only a full handshake shows the certificate and its staple again.
  public var sessionSeconds: Int64 = 7_200
  /// Octets of a server's certificate message; a larger one fails the handshake.
  public var upstreamCertificatesBytesMax = 1 << 20
  /// Octets of subject alternative names that a minted leaf bears; see ``LeafMinter``.
  public var namesBytesMax = 16_384
  /// Verification results a worker keeps, and for how long.
  public var verificationCountMax = 4_096
  public var verificationSeconds: Int64 = 600

  /// Where the secrets of both legs are written; nil for nowhere.
  public var keyLog: KeyLog?

  public init() {}

  /// What becomes of a defect.
  func reaction(to kind: UpstreamDefect.Kind, _ decision: PolicyDecision?) -> UntrustedUpstream {
    // Without a certificate there is nothing to show.
    if kind == .missing { return .block }
    return decision?.untrustedUpstream ?? defectReactions[kind] ?? untrustedUpstream
  }
}
