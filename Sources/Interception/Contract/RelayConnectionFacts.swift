import Traffic

/// What is known of one intercepted connection; rules, events and `explain` read it.
public struct RelayConnectionFacts: Sendable {
  /// Unique within a worker.
  public var number: UInt64
  public var worker: Int
  /// Client to server; the destination is the one the client asked for.
  public var flow: FlowTuple
  public var openedAt: Timestamp
  public var form: RelayForm = .plain
  /// The TLS records up to the end of the ClientHello, as the client sent them; empty without TLS.
  public var clientHello: [UInt8] = []
  /// The server name of the ClientHello, lower case; nil where there is none or it is not a name.
  public var sni: String?
  /// What software the client is, as ``ClientHelloSketch/shape``; empty without TLS.
  public var clientShape: [UInt8] = []
  public var alpnOffered: [String] = []
  /// The protocol both legs agreed on by ALPN.
  public var alpn: String?
  /// TLS version of the client's leg, for instance 0x0304; 0 without TLS or not decrypted.
  public var tlsVersion: UInt16 = 0
  public var upstreamTLSVersion: UInt16 = 0
  /// OpenSSL's names of the suites on both legs.
  public var cipherSuite: String = ""
  public var upstreamCipherSuite: String = ""
  public var clientResumed = false
  public var upstreamResumed = false
  /// DER of what the server presented, leaf first.
  public var upstreamCertificates: [[UInt8]] = []
  /// Told by a server that has been judged; anybody on the way can ask.
  public var upstreamWantsClientCertificate = false
  /// nil until the upstream certificate was looked at.
  public var upstreamVerification: UpstreamVerification?
  /// The certificate is bad, and the client is to see that and may go on.
  public var upstreamDefectIsPassedOn = false
  /// The server is who it says, or whom the policy takes for it.
  public var upstreamIsAccepted: Bool { upstreamVerification == .trusted || upstreamDefectIsPassedOn }
  public var upstreamStaple = StapleStatus.none
  /// Nanoseconds that each step took; 0 where it was not gone through.
  public var dialTime: Int64 = 0
  public var upstreamHandshakeTime: Int64 = 0
  public var clientHandshakeTime: Int64 = 0
  /// DER of that leaf.
  public var mintedCertificate: [UInt8] = []
  /// SHA-256 of the leaf that the client was shown; empty where none was minted.
  public var mintedFingerprint: [UInt8] = []
  public var decision: PolicyDecision?
  /// The server behind a site of our own; nil elsewhere.
  public var backend: String?

  public init(number: UInt64, worker: Int, flow: FlowTuple, openedAt: Timestamp) {
    self.number = number
    self.worker = worker
    self.flow = flow
    self.openedAt = openedAt
  }
}

/// What the chunks of a connection are.
public enum RelayForm: UInt8, Sendable, Hashable {
  /// No TLS was seen: the bytes as they are.
  case plain
  /// TLS that policy leaves encrypted: the records as they are.
  case tunnelled
  /// TLS taken apart: what was inside.
  case decrypted
}
