import CSluiceLinux
import Glibc
import Traffic

/// What all workers share; nothing in it changes while they run.
public struct InterceptionServices: Sendable {
  public var issuers: LeafIssuers
  public var verifier: UpstreamVerifier
  public var policy: any InterceptionPolicy
  public var tickets: TicketKeys
  /// Sites of our own; nil without any.
  public var termination: TerminationPublication?
  /// Called once on a worker's thread when the process with the authority's key is gone for good.
  public var signerIsGone: (@Sendable () -> Void)?

  public init(issuers: LeafIssuers, verifier: UpstreamVerifier, policy: any InterceptionPolicy) throws(InterceptionError) {
    self.issuers = issuers
    self.verifier = verifier
    self.policy = policy
    tickets = try TicketKeys()
  }
}

/// The TLS stage on one thread: takes connections, decides, calls servers, relays.
///
/// Everything is non-blocking upon one edge-triggered epoll instance. Make it and call `run` on
/// the thread that is to do the work; other threads talk to it through its mailbox.
public final class InterceptionWorker {
  let index: Int
  let settings: InterceptionSettings
  let services: InterceptionServices
  let observer: any InterceptionObserver
  let mailbox: InterceptionMailbox
  let queue: EventQueue
  let dialer: Dialer
  let scratch = ScratchBuffer(count: 65_536)
  let sends = SendQueue()

  let serverLeg: TLSContext
  let clientLeg: TLSContext
  /// For clients that are shown a defect: no resumption.
  let defectLeg: TLSContext
  var minter: LeafMinter
  /// To the process with the authority's key; nil where this one has it.
  let signing: SigningChannel?
  var inMaking: [LeafInMaking] = []
  let sessions: SessionCache
  var verifications: LRUTable<VerificationKey, KnownUpstream>

  /// Those for connections that are meant for others, then those of `fronts`.
  var listeners: [ListenerSocket]
  let interceptingCount: Int
  let fronts: [TerminationSocket]
  /// Places of listeners that are full.
  var pausedFronts: Set<Int> = []
  var frontPauseEnd: Int64 = 0
  var acceptsPaused = false
  var acceptPauseEnd: Int64 = 0
  var connections: [RelayConnection?] = []
  var freeSlots: [Int] = []
  var generation: UInt32 = 0
  var connectionNumber: UInt64 = 0
  var ready: [RelayConnection] = []
  /// Connections to backends between two clients, the latest last.
  var spares: [ObjectIdentifier: [SpareConnection]] = [:]
  var spareCount = 0
  /// When the first of them is to be closed, at the earliest.
  var sparesEnd: Int64?
  var wheel: TimerWheel
  public internal(set) var counters = InterceptionCounters()
  /// Of the traffic, read once a batch.
  var time: Timestamp
  /// Monotonic nanoseconds, read once a batch.
  var now: Int64
  var stopDeadline: Int64?

  public init(
    index: Int, settings: InterceptionSettings, services: InterceptionServices, listeners: [ListenerSocket],
    fronts: [TerminationSocket] = [], observer: any InterceptionObserver, mailbox: InterceptionMailbox,
    signer: Int32? = nil
  ) throws(InterceptionError) {
    self.index = index
    self.settings = settings
    self.services = services
    self.observer = observer
    self.mailbox = mailbox
    self.listeners = listeners + fronts.map(\.socket)
    interceptingCount = listeners.count
    self.fronts = fronts
    dialer = Dialer(source: settings.sourceAddress, mark: settings.serverMark)
    queue = try EventQueue(batchCount: 256)
    let limits = LegLimits(
      versionMin: settings.versionMin, versionMax: settings.versionMax,
      certificatesBytesMax: settings.upstreamCertificatesBytesMax)
    serverLeg = try TLSContext.serverLeg(limits: limits, keyLog: settings.keyLog)
    clientLeg = try TLSContext.clientLeg(tickets: services.tickets, limits: limits, keyLog: settings.keyLog)
    defectLeg = try TLSContext.clientLeg(tickets: nil, limits: limits, keyLog: settings.keyLog)
    do {
      minter = try LeafMinter(
        issuers: services.issuers, countMax: settings.leafCountMax, namesBytesMax: settings.namesBytesMax)
    } catch {
      throw .library(error.description)
    }
    sessions = SessionCache(countMax: settings.sessionCountMax, seconds: settings.sessionSeconds)
    verifications = LRUTable(countMax: settings.verificationCountMax)
    signing = signer.map { SigningChannel(descriptor: $0) }
    now = sluice_clock_monotonic()
    time = Timestamp(nanoseconds: sluice_clock_realtime())
    wheel = TimerWheel(now: now)
    guard queue.addLevel(mailbox.descriptor, token: Self.mailboxToken) else {
      throw .system(call: "epoll_ctl", reason: errorText(errno))
    }
    if let signing, !queue.addLevel(signing.descriptor, token: Self.signerToken) {
      throw .system(call: "epoll_ctl", reason: errorText(errno))
    }
    for place in self.listeners.indices where !queue.addLevel(self.listeners[place].descriptor, token: UInt64(place)) {
      throw .system(call: "epoll_ctl", reason: errorText(errno))
    }
  }

  /// Tokens below 2^32 are listeners, the mailbox and the process that signs; a connection's generation is never 0.
  static let mailboxToken: UInt64 = 0xffff_ffff
  static let signerToken: UInt64 = 0xffff_fffe

  /// Works until told to stop and drained.
  public func run() {
    while true {
      let count = queue.wait(milliseconds: waitMilliseconds())
      now = sluice_clock_monotonic()
      time = Timestamp(nanoseconds: sluice_clock_realtime())
      for place in 0..<count { dispatch(queue.event(at: place)) }
      sends.flush()
      continueReady()
      for entry in wheel.expire(now: now) { timerFired(entry) }
      resumeAccepting()
      dropOldSpares()
      let isDone = exchangeMail()
      sends.flush()
      if isDone { break }
    }
    mailbox.close(counters)
  }

  private func waitMilliseconds() -> Int32 {
    if !ready.isEmpty { return 0 }
    var wait = wheel.wait(now: now)
    for end in [acceptsPaused ? acceptPauseEnd : nil, pausedFronts.isEmpty ? nil : frontPauseEnd, stopDeadline, sparesEnd].compactMap({ $0 }) {
      let left = Int32(clamping: max(0, (end - now) / 1_000_000 + 1))
      wait = wait < 0 ? left : min(wait, left)
    }
    return wait
  }

  private func dispatch(_ event: ReadyEvent) {
    if event.token == Self.mailboxToken {
      mailbox.acknowledge()
      observer.awoken()
    } else if event.token == Self.signerToken {
      hearSigner()
    } else if event.token < Self.mailboxToken {
      acceptAll(Int(event.token))
    } else if let connection = connection(for: event.token) {
      woken(connection, side: event.token & 1 == 0 ? .toServer : .toClient, event)
    }
  }

  /// nil where the slot has been given to another connection since.
  private func connection(for token: UInt64) -> RelayConnection? {
    let slot = Int(UInt32(truncatingIfNeeded: token) >> 1)
    guard slot < connections.count, let found = connections[slot], found.generation == UInt32(token >> 32) else { return nil }
    return found
  }

  /// One side's socket has news; `side` is the direction in which that side sends.
  private func woken(_ connection: RelayConnection, side: Direction, _ event: ReadyEvent) {
    if side == .toClient, connection.isDialing {
      if event.isWritable || event.isHangUp { dialEnded(connection) }
      return
    }
    connection.sender(side)?.stream.wake(hangUp: event.isHangUp, isError: event.isError)
    if side == .toServer, clientLeft(connection, event) { return }
    advance(connection)
    // A reset side that nobody reads, since its lane is full, would otherwise stay until the timeout.
    if event.isError, connection.stage == .relaying, connection.lanes[side.index].hasPending {
      end(connection, .reset(by: side))
    }
    endWhereUntold(connection, side)
  }

  /// What waits to be sent to a side that is gone never will be; where its FIN had come before, no read says so.
  private func endWhereUntold(_ connection: RelayConnection, _ side: Direction) {
    guard let stream = connection.sender(side)?.stream, stream.isReset, !stream.isSettled else { return }
    switch connection.stage {
    case .relaying: end(connection, .reset(by: side))
    case .closing: discard(connection)
    case .hello, .dialing, .upstreamHandshake, .minting, .clientHandshake, .refusing, .closed: break
    }
  }

  /// Goes on from wherever the connection stands.
  func advance(_ connection: RelayConnection) {
    switch connection.stage {
    case .hello: if let front = connection.termination { readFront(connection, front) } else { readHello(connection) }
    case .dialing, .minting, .closed: break
    case .upstreamHandshake: continueUpstreamHandshake(connection)
    case .clientHandshake: continueClientHandshake(connection)
    case .refusing: readRefused(connection)
    case .relaying: pump(connection)
    case .closing: pumpClosing(connection)
    }
  }

  private func continueReady() {
    guard !ready.isEmpty else { return }
    let round = ready
    ready.removeAll(keepingCapacity: true)
    for connection in round {
      connection.isReady = false
      advance(connection)
    }
  }

  /// Has the connection go on after others had their turn.
  func markReady(_ connection: RelayConnection) {
    guard !connection.isReady else { return }
    connection.isReady = true
    ready.append(connection)
  }

  // MARK: Stopping

  /// - Returns: whether the worker is done.
  private func exchangeMail() -> Bool {
    counters.leavesMinted = minter.mintedCount
    counters.leafCacheHits = minter.hitCount
    counters.leafEvictions = minter.evictionCount
    counters.leavesCut = minter.cutCount
    counters.sessionEvictions = sessions.evictionCount
    let mail = mailbox.exchange(counters)
    for adopted in mail.adopted { adopt(adopted) }
    guard mail.isStopping else { return false }
    if stopDeadline == nil {
      stopDeadline = now + settings.drainTimeoutMilliseconds * 1_000_000
      for place in listeners.indices where !acceptsPaused && !pausedFronts.contains(place) {
        queue.remove(listeners[place].descriptor)
      }
      pausedFronts = []
      listeners = []
    }
    if let stopDeadline, now >= stopDeadline {
      for connection in connections.compactMap({ $0 }) { stopped(connection) }
    }
    return counters.active == 0
  }
}
