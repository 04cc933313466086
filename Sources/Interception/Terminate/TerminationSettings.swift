import Traffic

/// Sites whose TLS ends here with their own certificates and keys, and the servers behind them.
public struct TerminationSettings: Sendable {
  public var listeners: [Listener] = []

  public init() {}

  /// Where clients connect, and what is there.
  public struct Listener: Sendable {
    public enum AtLimit: String, Sendable, CaseIterable {
      /// New clients stay in the kernel's queue.
      case wait
      /// They are reset.
      case refuse
    }

    public var places: [InterceptionSettings.Destination] = []
    /// Clients speak TLS; otherwise in the clear.
    public var usesTLS = true
    /// Senders whose connections begin with a PROXY header; nil for none.
    public var takesProxyHeader: (@Sendable (IPAddress) -> Bool)?
    /// Connections at a time, over all workers.
    public var connectionCountMax = 10_000
    public var backlog: Int32 = 4_096
    public var atLimit = AtLimit.wait
    public var sites: [Site] = []

    public init() {}
  }

  /// What clients are shown under some names, and where their connections go.
  public struct Site: Sendable {
    public enum ClientCertificate: String, Sendable, CaseIterable {
      case none
      /// Whatever is shown passes; the backend is told what is wrong with it.
      case requested
      /// One that is shown must be good.
      case optional
      case required
    }
    public enum Forwarded: String, Sendable, CaseIterable {
      /// Requests pass as they are.
      case no
      /// What the client says of itself is taken out, what is known is put in.
      case replace
      /// The same, but addresses that the client's X-Forwarded-For names stay in front.
      case append
    }

    /// For messages and events.
    public var name = ""
    /// Host names, `*.` for one label; empty for those of the certificate.
    public var names: [String] = []
    /// For clients that name no site, or one that is none.
    public var isDefault = false
    public var certificateFile = ""
    public var keyFile = ""
    public var clientCertificate = ClientCertificate.none
    public var clientAuthorities: String?
    /// By preference; empty: ALPN is not answered.
    public var protocols = ["http/1.1"]
    public var forwarded = Forwarded.replace
    public var backends: [BackendPlace] = []
    /// nil for backends in the clear.
    public var backendTLS: BackendTLS?
    public var sendsProxyHeader: ProxyHeader.Version?
    /// Connections to each backend that a worker keeps for later clients.
    public var keptCount = 16
    /// How long it keeps them; shorter than servers do.
    public var keptSeconds: Int64 = 4
    public var check = BackendCheck.connect
    public var checkSeconds: Int64 = 5
    /// While no backend is well: call one all the same, instead of turning the client away.
    public var triesUnwell = false

    public init() {}
  }
}

/// Where a backend listens.
public enum BackendPlace: Sendable, Hashable, CustomStringConvertible {
  /// A name is looked up when the settings are taken.
  case tcp(host: String, port: UInt16)
  case unix(String)

  public var description: String {
    switch self {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

/// How TLS is spoken with a backend.
public struct BackendTLS: Sendable, Hashable {
  /// The name or address that its certificate must bear, and that it is asked for.
  public var name: String
  /// Whose certificates are believed; nil for the system's.
  public var trustFile: String?
  public var verifies = true

  public init(name: String) { self.name = name }
}

/// How it is found out whether a backend is well.
public enum BackendCheck: Sendable, Hashable {
  case none
  /// A connection, with TLS where that is spoken.
  case connect
  /// An answer of 200 to 399 to GET of this path.
  case http(path: String)
}

/// Why sites cannot be served; the operator's to mend.
public struct TerminationError: Error, Sendable, CustomStringConvertible {
  public var description: String
  init(_ description: String) { self.description = description }
}
