import Capture
import Detection
import EventOutput
import Glibc
import Inspection
import Interception
import RuleLanguage
import Traffic

/// All that an operator has set, checked: a value of this type cannot be wrong.
public struct Settings: Sendable {
  /// Variables of rule headers (`vars`).
  public var variables = RuleVariables()
  public var rules = RuleSettings()
  public var inspection: InspectionSettings
  public var outputs = OutputSettings()
  public var capture = CaptureSettings()
  public var interception = TLSStageSettings()
  public var control = ControlSettings()
  /// Entries of the TLS policy in order (`policy`).
  public var policy: [PolicyEntry] = []
  /// Where the files of the policy's categories are (`policy-categories`).
  public var categoryFolder = "/etc/sluice/categories"
  /// Exception policies as set, by their key; the rest follows the mode.
  var exceptionPolicies: [String: ExceptionPolicy] = [:]
  /// `detect.rule-budget.action` was given.
  var isRuleBudgetSet = false
  /// Types of records that are asked for and that there are none of here.
  var otherTypes: [String] = []
  /// What was set and has no meaning here, a line each; for standard error.
  public var warnings: [String] = []

  init(flowSeed: UInt64) { inspection = InspectionSettings(flowSeed: flowSeed) }
}

public struct RuleSettings: Sendable {
  /// Features that the configuration switches off, which rules may ask for (`requires`).
  public var missingFeatures: Set<String> = []
  public var files: [String] = []
  /// Where relative names of rule files are looked up (`default-rule-path`).
  public var directory: String?
  public var classificationFile: String?
  public var referenceFile: String?
  public var thresholdFile: String?
  /// Lists of what is known of addresses, for `iprep`.
  public var reputationCategoriesFile: String?
  public var reputationDirectory: String?
  public var reputationFiles: [String] = []
  public var actionOrder: [RuleAction] = [.pass, .drop, .reject, .alert]
  public var cacheDirectory: String?
  /// Sets of values of the configuration (`datasets`).
  public var datasets: [DatasetDescription] = []
  /// Where sets of values are saved (`data-dir`); nil is the working folder.
  public var dataDirectory: String?
}

public struct OutputSettings: Sendable {
  /// Where files without a directory go (`default-log-dir`).
  public var directory = "."
  public var isEVEEnabled = true
  public var fileName = "eve.json"
  public var eve = EVESettings()
  /// The folder that files are stored in (`file-store.dir`); nil where none are.
  public var fileStore: String?
  public var statsIntervalSeconds = 8
}

/// How packets come (`capture`).
public struct CaptureSettings: Sendable {
  public enum Mode: String, Sendable, CaseIterable { case router, bridge, host, tap, explicit, terminate }

  public var mode = Mode.router
  /// Whether this router translates addresses itself (`capture.nat`); nil: look.
  public var translates: Bool?
  /// The bridge (`bridge`).
  public var bridge = "br0"
  /// The interfaces that are listened to (`tap`).
  public var interfaces: [String] = []
  /// First queue and number of queues, a worker each.
  public var firstQueue: UInt16 = 0
  public var queueCount: UInt16 = 1
  /// Packets pass uninspected while no verdict can be given.
  public var failsOpen = true
  public var queueLength: UInt32 = 16_384
  /// `none` gives every packet back at once: what the daemon itself costs.
  public var inspects = true
  public var pinsWorkers = true
  /// Flows that the kernel passes without us once they are decided (`capture.release`).
  public var releases: Set<ReleaseReason> = [.rule, .pass, .encrypted, .tunnel, .depth]
  /// `app-layer.protocols.tls.encryption-handling: full` keeps them.
  var releasesEncrypted = true
  /// A reload calls released flows back.
  public var recallsOnReload = true
}

/// The TLS stage (`interception`).
public struct TLSStageSettings: Sendable {
  public var isEnabled = true
  /// When a connection goes to the TLS stage (`interception.take-over`).
  public enum TakeOver: String, Sendable, CaseIterable {
    /// Any connection, once a ClientHello is seen in it.
    case hello
    /// Those to `ports` with their first packet; others as with `hello`.
    case syn
    /// Only those to `ports`, with their first packet.
    case ports
  }

  public var takeOver = TakeOver.hello
  /// Ports whose connections go to the TLS stage at the SYN, where `takeOver` says so.
  public var ports: [UInt16] = [443]
  /// The ports of which that is true.
  public var synPorts: [UInt16] { isEnabled && takeOver != .hello ? ports : [] }
  public var listenPort: UInt16 = 8443
  public var workerCount = 1
  public var caCertificate = "/var/lib/sluice/ca.pem"
  public var caKey = "/var/lib/sluice/ca.key"
  /// Who the process with that key runs as, where it is started as root.
  public var authorityUser = "nobody"
  /// Whose the key's file is to be; nil for who makes it. What is nobody's is everybody's who is nobody.
  public var authorityOwner: String? { authorityUser == "nobody" || geteuid() != 0 ? nil : authorityUser }
  /// What becomes of a connection whose certificate can't be made.
  public var mintingFailure = InterceptionSettings.MintingFailure.block
  /// Issuers trusted beside those of the system.
  public var extraTrust: [String] = []
  /// PEM files of issuers that servers forget to send; not trusted.
  public var intermediates: [String] = []
  /// Files of revocation lists.
  public var revocationLists: [String] = []
  public var staples = TrustSettings.Staples.check
  /// TLS versions on both legs, by their numbers.
  public var versionMin: UInt16 = 0x0303
  public var versionMax: UInt16 = 0x0304
  /// Octets of names that a minted certificate bears.
  public var namesBytesMax = 16_384
  public var badCertificate = InterceptionSettings.UntrustedUpstream.block
  /// The same for single defects.
  public var defects: [UpstreamDefect.Kind: InterceptionSettings.UntrustedUpstream] = [:]
  public var handshakeTimeoutSeconds = 10
  /// Octets and seconds that a ClientHello may take.
  public var helloTimeoutSeconds = 10
  public var idleTimeoutSeconds = 600
  public var connectTimeoutSeconds = 10
  /// Connections that are still relayed when the daemon stops may go on for so long.
  public var drainTimeoutSeconds = 5
  /// A silent client: the server may be the one that speaks first.
  public var serverFirstMilliseconds = 300
  /// A drop is told to the client with a page (HTTP), else both ends see a reset.
  public var showsBlockPage = false
  /// HTTP/2 where client and server both speak it; off, both are held to HTTP/1.1.
  public var offersHTTP2 = true
  /// How far a drop within HTTP/2 reaches (`interception.http2-drop`).
  public enum HTTP2Drop: String, Sendable, CaseIterable { case stream, connection }
  public var http2Drop = HTTP2Drop.connection
  /// Layers of TLS that are opened, and what becomes of further ones.
  public var layerCountMax = 3
  public var layerLimit = InterceptionSettings.LayerLimit.block
  /// What is done about QUIC that policy wants to be inspected.
  public var quic = QUICHandling.refuse
  public var decrypted = DecryptedSettings()
  public var explicit = ExplicitSettings()
  /// Sites of our own (`terminate`).
  public var terminate = TerminationSettings()
  public var learning = LearnedBypassSettings()
  /// Where what was learned outlives a restart; nil for nowhere.
  public var learningFile: String?
  /// A file that the secrets of TLS connections are appended to.
  public var keyLogFile: String?
}

/// The proxy that clients name themselves (`CONNECT`, absolute URIs, SOCKS).
public struct ExplicitSettings: Sendable {
  /// Addresses and ports; none: there is no such proxy.
  public var listen: [(address: IPAddress, port: UInt16)] = []
  /// Who may connect; nil: everybody who can.
  public var clients: AddressSet?
  /// Clients that may be telling their wish at a time.
  public var negotiationCountMax = 16
  /// Whether loopback, the link and this machine itself can be reached through it.
  public var allowsLocal = false
}

/// Where decrypted traffic is written in the clear; nowhere unless asked for.
public struct DecryptedSettings: Sendable {
  /// A pcapng file of mode 0600.
  public var file: String?
  /// Octets at which the file is put aside, and how many files there are then with it.
  public var fileBytesMax = 100 << 20
  public var fileCount = 10
  /// A path (mode 0600) or ADDRESS:PORT where readers get pcapng.
  public var socket: String?
  /// An interface that the packets are sent out of.
  public var interface: String?
  /// Shown instead of the server's port.
  public var serverPort: UInt16?
  /// Octets that may wait to be written; what comes beyond is lost and counted.
  public var waitingBytesMax = 64 << 20

  public var isWanted: Bool { file != nil || socket != nil || interface != nil }
}

public struct ControlSettings: Sendable {
  public var socket = "/run/sluice/control.sock"
  /// The daemon gives up rights that it does not need.
  public var isConfined = true
  /// Where metrics are told: a port, address:port or the path of a unix socket; nil for nowhere.
  public var metrics: String?
}
