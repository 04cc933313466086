import Capture
import CSluiceLinux
import Diversion
import FlowTracking
import Inspection
import Interception
import Traffic

/// What the TLS stage is to the workers that find connections for it.
struct TakeoverTarget: Sendable {
  var policy: any InterceptionPolicy
  var mailboxes: [InterceptionMailbox]
}

/// Finds connections that turn out to be TLS, and takes them over with all that is under way in them.
///
/// One for each worker. From the SYN on it keeps what each end has not acknowledged; at a ClientHello the
/// packets are held, two sockets are made in the places of the ends, and everything of the flow that is
/// still queued goes through the chain again, which now leads to the sockets.
final class Takeover {
  /// What to do with the packet in hand.
  enum Step {
    case pass
    /// No verdict yet.
    case hold
    /// Gone to the TLS stage; the verdict is `verdict`.
    case taken
    /// The client will send it again.
    case drop
    /// Neither taken nor let through: the connection cannot be inspected.
    case refuse
  }

  struct Counters: Sendable {
    var taken: UInt64 = 0
    /// The kernel refused the sockets.
    var failures: UInt64 = 0
    /// Not watched because of a limit.
    var overLimit: UInt64 = 0
    /// Policy left them encrypted.
    var tunnelled: UInt64 = 0
    /// Hellos made to come again because of a hole in what was known.
    var retries: UInt64 = 0
    /// Packets of taken connections that were still queued.
    var followers: UInt64 = 0

    static func += (left: inout Self, right: Self) {
      left.taken &+= right.taken
      left.failures &+= right.failures
      left.overLimit &+= right.overLimit
      left.tunnelled &+= right.tunnelled
      left.retries &+= right.retries
      left.followers &+= right.followers
    }
  }

  let settings = TakeoverSettings()
  let marks: MarkLayout
  let target: TakeoverTarget
  let failsOpen: Bool
  private(set) var counters = Counters()
  /// Why the last one failed.
  private(set) var lastFailure: String?
  private var watches: [UInt32: TakeoverWatch] = [:]
  private var keptBytes = 0
  /// Flows that wait for the rest of their hello.
  private var holding: Set<UInt32> = []
  /// Connections taken a moment ago, of which packets may still be queued; until when, monotonic.
  private var recent: [FlowTuple: Int64] = [:]
  private var nextSweep: Int64 = 0
  private let neighbours = NeighbourTable()
  private static let recentNanoseconds: Int64 = 2_000_000_000

  init(_ target: TakeoverTarget, marks: MarkLayout, failsOpen: Bool) {
    self.target = target
    self.marks = marks
    self.failsOpen = failsOpen
  }

  /// How packets of taken connections go on: through the chain again, which leads to the sockets. Behind
  /// the point where routes are chosen that is too late: there their octets are put into the sockets.
  func verdict(hook: UInt8) -> Capture.PacketVerdict { hook == 0 ? .repeat : .drop }

  /// Packets to and from this machine itself are nothing to stand between; of a connection whose
  /// destination was translated here the socket could not bear the name that the client knows.
  private func canTake(_ packet: borrowing QueuedPacket) -> Bool {
    packet.hook == 0 || packet.hook == 2 && packet.mark & marks.serverLeg == 0
  }

  var isHolding: Bool { !holding.isEmpty }
  var hasRecent: Bool { !recent.isEmpty }

  // MARK: Packets

  /// Whether a packet is of a connection that was taken while it waited in the queue.
  func isFollower(_ packet: RawSpan) -> Bool {
    guard let key = Self.tuple(of: packet) else { return false }
    guard recent[key] != nil || recent[key.reversed] != nil else { return false }
    counters.followers &+= 1
    return true
  }

  /// - Parameters:
  ///   - result: what inspection says, which let the packet through.
  func note(
    _ packet: borrowing QueuedPacket, _ result: Inspection.PacketVerdict, _ path: inout PacketPath
  ) -> Step {
    guard let index = result.flow, let segment = result.segment, canTake(packet) else { return .pass }
    let key = index.rawValue
    if segment.flags & 0x12 == 0x02 { begin(index, segment, &path) }
    guard var watch = watches[key] else { return .pass }
    guard let flow = path.flow(index), flow.flowID == watch.flowID else {
      forget(key)
      return .pass
    }
    keptBytes &-= watch.byteCount
    watches[key] = nil
    let step = note(packet, result.direction, segment, flow, index, &watch, &path)
    let isDone: Bool
    switch step {
    case .pass, .hold, .drop: isDone = isSpent(watch) && !watch.isHolding
    case .taken, .refuse: isDone = true
    }
    if !isDone, watch.retries >= 0 {
      keptBytes &+= watch.byteCount
      watches[key] = watch
    }
    if watch.isHolding, !isDone { holding.insert(key) } else { holding.remove(key) }
    return step
  }

  private func begin(_ index: FlowIndex, _ segment: SegmentFacts, _ path: inout PacketPath) {
    forget(index.rawValue)
    // Who uses a port again at once begins anew: what follows belongs to no connection that was taken.
    if !recent.isEmpty, let tuple = path.flow(index)?.tuple { recent[tuple] = nil }
    guard watches.count < settings.watchCountMax, keptBytes < settings.keptBytesTotalMax else {
      counters.overLimit &+= 1
      return
    }
    guard let flow = path.flow(index), flow.disposition == .inspect else { return }
    var watch = TakeoverWatch(flowID: flow.flowID)
    watch.client.begin(at: segment.sequence &+ 1)
    watches[index.rawValue] = watch
  }

  private func forget(_ key: UInt32) {
    guard let watch = watches.removeValue(forKey: key) else { return }
    keptBytes &-= watch.byteCount
    holding.remove(key)
  }

  /// Past the point where a hello may come, or too much to keep.
  private func isSpent(_ watch: TakeoverWatch) -> Bool {
    watch.client.total > settings.clientBytesMax || watch.server.total > settings.serverBytesMax
      || watch.byteCount > settings.keptBytesMax
  }

  private func note(
    _ packet: borrowing QueuedPacket, _ direction: Direction, _ segment: SegmentFacts, _ flow: Flow,
    _ index: FlowIndex, _ watch: inout TakeoverWatch, _ path: inout PacketPath
  ) -> Step {
    if packet.physicalInputInterface != 0 {
      if direction == .toServer {
        watch.clientHardware = packet.hardwareSource
      } else {
        watch.serverHardware = packet.hardwareSource
      }
    }
    if segment.flags & 0x12 == 0x12 { watch.server.begin(at: segment.sequence &+ 1) }
    if segment.flags & 0x02 != 0 { return .pass }
    if segment.flags & 0x10 != 0 {
      if direction == .toServer {
        watch.server.acknowledge(segment.acknowledgement)
      } else {
        watch.client.acknowledge(segment.acknowledgement)
      }
    }
    if segment.flags & 0x05 != 0 {
      // It ends before it came to anything.
      release(&watch, &path)
      watch.retries = -1
      return .pass
    }
    guard !segment.payload.isEmpty, segment.payload.upperBound <= packet.bytes.byteCount else { return .pass }
    let payload = packet.bytes.extracting(segment.payload)
    if direction == .toClient {
      watch.server.append(payload, at: segment.sequence)
      return .pass
    }
    if !watch.isHolding {
      guard segment.sequence == watch.client.next, watch.mayBeHello(payload) else {
        watch.client.append(payload, at: segment.sequence)
        return .pass
      }
    }
    return noteHello(packet, segment, payload, flow, index, &watch, &path)
  }

  /// The packet belongs to a hello that is on its way.
  private func noteHello(
    _ packet: borrowing QueuedPacket, _ segment: SegmentFacts, _ payload: RawSpan, _ flow: Flow,
    _ index: FlowIndex, _ watch: inout TakeoverWatch, _ path: inout PacketPath
  ) -> Step {
    if watch.held.isEmpty {
      watch.peek = ClientHelloPeek()
      watch.heldSince = sluice_clock_monotonic()
    }
    let expected = watch.client.next &+ UInt32(truncatingIfNeeded: watch.peek.bytes.count)
    let known = Int(Int32(bitPattern: expected &- segment.sequence))
    // Sent again: the first copy waits already.
    if known >= payload.byteCount { return .drop }
    var outcome = ClientHelloPeek.Outcome.needMore
    if known >= 0 { outcome = watch.peek.feed(payload.extracting(known..<payload.byteCount)) }
    watch.held.append(TakeoverWatch.Held(id: packet.id, mark: packet.mark, hook: packet.hook))
    switch outcome {
    case .needMore:
      if watch.held.count < settings.heldPacketsMax { return .hold }
    case .notTLS:
      let (first, peeked) = (watch.client.next, watch.peek.bytes)
      watch.client.append(peeked.rawSpan, at: first)
      watch.held.removeLast()
      release(&watch, &path)
      watch.retries = -1
      return .pass
    case .hello(let sketch):
      let facts = PolicyFacts(
        flow: flow.tuple, sni: sketch.sni, alpn: sketch.alpn,
        clientHello: Array(watch.peek.bytes.prefix(sketch.recordBytes)), clientShape: sketch.shape,
        time: packet.time)
      let decision = target.policy.decide(facts)
      if decision.action == .tunnel {
        counters.tunnelled &+= 1
        path.wantRelease(index, .tunnel)
        path.note(decision: decision.record(sni: sketch.sni), index, at: packet.time)
        watch.held.removeLast()
        release(&watch, &path)
        watch.retries = -1
        return .pass
      }
    case .malformed, .tooLarge: break
    }
    noteNeighbours(flow.tuple, watch, interface: packet.inputInterface)
    return take(flow, index, &watch, &path, hook: packet.hook, last: packet.id)
  }

  // MARK: Taking

  /// On a bridge the sockets answer by the frames' own addresses: the bridge may have no address to ask
  /// with, and an end may lie behind a router.
  private func noteNeighbours(_ tuple: FlowTuple, _ watch: TakeoverWatch, interface: UInt32) {
    guard watch.clientHardware != 0, watch.serverHardware != 0 else { return }
    neighbours.set(tuple.source, watch.clientHardware, interface: interface)
    neighbours.set(tuple.destination, watch.serverHardware, interface: interface)
  }

  /// The verdict for the packet `last` is the caller's; for those held before it is given here, later.
  private func take(
    _ flow: Flow, _ index: FlowIndex, _ watch: inout TakeoverWatch, _ path: inout PacketPath, hook: UInt8, last: UInt32?
  ) -> Step {
    let injects = hook != 0
    let session = path.session(index)
    guard watch.server.isKnown, watch.server.next == session.server.nextSequence else {
      return retry(&watch)
    }
    let hello = watch.peek.bytes
    let client = end(session.client, flow.tuple.source, flow.tuple.sourcePort, watch.client)
    let server = end(session.server, flow.tuple.destination, flow.tuple.destinationPort, watch.server)
    let pair: (client: Int32, server: Int32)
    do throws(InterceptionError) {
      // What was sent before the hello is the server leg's to repeat; the client leg continues behind it.
      pair = try RepairedConnection.make(
        client: client, server: server, injected: injects ? hello.count : 0, clientMark: marks.clientLeg,
        serverMark: marks.adoptedServerLeg)
    } catch {
      counters.failures &+= 1
      lastFailure = error.description
      if last != nil { watch.held.removeLast() }
      if failsOpen { release(&watch, &path) } else { abandon(&watch) }
      watch.retries = -1
      return failsOpen ? .pass : .refuse
    }
    counters.taken &+= 1
    let connection = AdoptedConnection(
      client: pair.client, upstream: pair.server, clientName: client.name, destination: server.name,
      clientBytes: injects ? hello : [],
      canBeCalledAnew: !injects && watch.client.total == 0 && watch.server.total == 0)
    // Behind address translation the kernel still needs what it knows.
    if !injects { forgetInKernel.append(flow.tuple) }
    recent[flow.tuple] = sluice_clock_monotonic() &+ Self.recentNanoseconds
    for held in watch.held where held.id != last {
      deferred.append(Deferred(held: held, verdict: verdict(hook: hook)))
    }
    watch.held.removeAll()
    handed.append(connection)
    path.forget(index)
    return .taken
  }

  private func end(
    _ end: TCPEnd, _ address: IPAddress, _ port: UInt16, _ sent: UnacknowledgedBytes
  ) -> ConnectionEnd {
    ConnectionEnd(
      name: InterceptionSettings.Destination(address: address, port: port), nextSequence: sent.next,
      unacknowledged: sent.bytes, windowBytes: end.windowBytes, maximumSegmentSize: end.maximumSegmentSize,
      windowShift: end.windowScale == 255 ? nil : end.windowScale, sackPermitted: end.sackPermitted,
      hasTimestamps: end.hasTimestamps, timestamp: end.timestamp)
  }

  /// Something of the server's is missing here: the hello shall come again, when it has come again too.
  private func retry(_ watch: inout TakeoverWatch) -> Step {
    counters.retries &+= 1
    watch.retries += 1
    if watch.retries > settings.retriesMax {
      counters.failures &+= 1
      lastFailure = "what the server sent before is not known in full"
      if !watch.held.isEmpty { watch.held.removeLast() }
      abandonOrPass(&watch)
      watch.retries = -1
      return failsOpen ? .pass : .refuse
    }
    if !watch.held.isEmpty { watch.held.removeLast() }
    abandon(&watch)
    return .drop
  }

  private func abandonOrPass(_ watch: inout TakeoverWatch) {
    if failsOpen {
      for held in watch.held { deferred.append(Deferred(held: held, verdict: .accept)) }
      watch.held.removeAll()
    } else {
      abandon(&watch)
    }
  }

  private func abandon(_ watch: inout TakeoverWatch) {
    for held in watch.held { deferred.append(Deferred(held: held, verdict: .drop)) }
    watch.held.removeAll()
  }

  /// Lets the held packets go their way.
  private func release(_ watch: inout TakeoverWatch, _ path: inout PacketPath) {
    for held in watch.held { deferred.append(Deferred(held: held, verdict: .accept)) }
    watch.held.removeAll()
  }

  // MARK: What the worker does between packets

  struct Deferred {
    var held: TakeoverWatch.Held
    var verdict: Capture.PacketVerdict
  }

  /// Verdicts for packets held before.
  var deferred: [Deferred] = []
  /// Connections that connection tracking is to forget.
  var forgetInKernel: [FlowTuple] = []
  /// Connections for the TLS stage.
  var handed: [AdoptedConnection] = []

  /// Takes what has waited for too long, and forgets what is over.
  func tick(_ path: inout PacketPath) {
    let now = sluice_clock_monotonic()
    for key in holding {
      guard let watch = watches[key], now &- watch.heldSince > settings.heldMilliseconds &* 1_000_000 else { continue }
      takeLate(FlowIndex(rawValue: key), watch, &path)
    }
    guard now >= nextSweep else { return }
    nextSweep = now &+ 500_000_000
    if !recent.isEmpty { recent = recent.filter { $0.value > now } }
    for (key, watch) in watches where path.flow(FlowIndex(rawValue: key))?.flowID != watch.flowID { forget(key) }
  }

  private func takeLate(_ index: FlowIndex, _ watch: TakeoverWatch, _ path: inout PacketPath) {
    var watch = watch
    forget(index.rawValue)
    guard let flow = path.flow(index), flow.flowID == watch.flowID else { return release(&watch, &path) }
    switch take(flow, index, &watch, &path, hook: watch.held.first?.hook ?? 0, last: nil) {
    case .pass, .hold: release(&watch, &path)
    case .taken: break
    case .drop, .refuse: abandon(&watch)
    }
  }

  /// At the end of the worker: what is held goes on as it is.
  func finish(_ path: inout PacketPath) {
    for key in holding {
      guard var watch = watches[key] else { continue }
      release(&watch, &path)
    }
    holding.removeAll()
    watches.removeAll()
  }

  /// Who sent an IP packet.
  static func source(of packet: RawSpan) -> IPAddress? {
    guard packet.byteCount >= 20 else { return nil }
    if packet.u8(at: 0) >> 4 == 4 { return IPAddress(ipv4: packet.u32(at: 12)) }
    guard packet.byteCount >= 40 else { return nil }
    return IPAddress(high: packet.u64(at: 8), low: packet.u64(at: 16))
  }

  /// The 5-tuple of a TCP packet that is no fragment and no bare SYN.
  private static func tuple(of packet: RawSpan) -> FlowTuple? {
    guard packet.byteCount >= 40 else { return nil }
    let start: Int
    let source: IPAddress
    let destination: IPAddress
    if packet.u8(at: 0) >> 4 == 4 {
      guard packet.u8(at: 9) == 6, packet.u16(at: 6) & 0x3fff == 0 else { return nil }
      start = Int(packet.u8(at: 0) & 15) * 4
      source = IPAddress(ipv4: packet.u32(at: 12))
      destination = IPAddress(ipv4: packet.u32(at: 16))
    } else {
      guard packet.u8(at: 6) == 6 else { return nil }
      start = 40
      source = IPAddress(high: packet.u64(at: 8), low: packet.u64(at: 16))
      destination = IPAddress(high: packet.u64(at: 24), low: packet.u64(at: 32))
    }
    guard start >= 20, packet.byteCount >= start + 20, packet.u8(at: start + 13) & 0x12 != 0x02 else { return nil }
    return FlowTuple(
      source: source, destination: destination, sourcePort: packet.u16(at: start),
      destinationPort: packet.u16(at: start + 2), ipProtocol: IPProtocol.tcp)
  }
}

extension PolicyDecision {
  func record(sni: String?) -> InterceptionRecord {
    var facts: [(name: String, value: String)] = []
    if let sni { facts.append(("sni", sni)) }
    facts.append(("decision", String(describing: action)))
    facts.append(("decision_reason", reason))
    return InterceptionRecord(step: "decided", reason: "\(action): \(reason)", facts: facts)
  }
}
