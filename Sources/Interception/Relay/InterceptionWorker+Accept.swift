import CSluiceLinux
import Glibc
import Traffic

extension InterceptionWorker {
  /// Accepts a bounded number, so that a flood of SYNs does not starve the connections there are.
  func acceptAll(_ place: Int) {
    guard place < listeners.count, stopDeadline == nil else { return }
    let front = terminated(at: place)
    if place >= interceptingCount, front == nil { return }
    for _ in 0..<64 {
      if counters.active >= UInt64(settings.connectionCountMax) { return pauseAccepting(milliseconds: 50) }
      if let front, !admit(front, place) { return }
      let descriptor = sluice_accept(listeners[place].descriptor)
      if descriptor < 0 {
        front?.load.leave()
        switch errno {
        case EAGAIN: return
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: return pauseAccepting(milliseconds: 100)
        default:
          // ECONNABORTED and network errors concern the one connection.
          counters.acceptFailures &+= 1
          continue
        }
      }
      counters.accepted &+= 1
      let stream = SocketStream(descriptor: descriptor)
      guard let client = peerName(descriptor), let asked = localName(descriptor) else {
        counters.acceptFailures &+= 1
        front?.load.leave()
        continue
      }
      if let front {
        openTerminated(stream, front, client: client, asked: asked)
      } else {
        open(stream, client: client, destination: settings.fixedDestination ?? asked)
      }
    }
  }

  /// Whether a site's listener may have one more connection; what becomes of clients otherwise is set.
  private func admit(_ front: TerminatedListener, _ place: Int) -> Bool {
    if front.load.enter(max: front.settings.connectionCountMax) { return true }
    counters.terminationLimits &+= 1
    switch front.settings.atLimit {
    case .wait:
      pausedFronts.insert(place)
      frontPauseEnd = now + 20_000_000
      queue.remove(listeners[place].descriptor)
    case .refuse:
      // One at a time, so that others have their turn: the queue is reported again.
      let descriptor = sluice_accept(listeners[place].descriptor)
      if descriptor >= 0 {
        counters.terminationRefused &+= 1
        SocketStream(descriptor: descriptor).close(reset: true)
      }
    }
    return false
  }

  func adopt(_ adopted: AdoptedConnection) {
    counters.adopted &+= 1
    let client = SocketStream(descriptor: adopted.client)
    let upstream = adopted.upstream.map { SocketStream(descriptor: $0) }
    if !adopted.clientBytes.isEmpty { client.readAhead(adopted.clientBytes) }
    guard let connection = open(client, client: adopted.clientName, destination: adopted.destination) else { return }
    if let upstream {
      connection.canBeCalledAnew = adopted.canBeCalledAnew
      sluice_set_no_delay(upstream.descriptor)
      guard watch(upstream, of: connection) else { return refuse(connection) }
      setDeadline(connection, settings.idleTimeoutMilliseconds)
    }
    advance(connection)
  }

  /// Takes a connection into the slab; nil where epoll refuses it.
  @discardableResult
  func open(_ stream: SocketStream, client: SocketName, destination: SocketName) -> RelayConnection? {
    sluice_set_no_delay(stream.descriptor)
    let slot = freeSlots.popLast() ?? connections.count
    if slot == connections.count { connections.append(nil) }
    generation = generation == .max ? 1 : generation + 1
    connectionNumber &+= 1
    let flow = FlowTuple(
      source: client.address, destination: destination.address, sourcePort: client.port,
      destinationPort: destination.port, ipProtocol: IPProtocol.tcp)
    let facts = RelayConnectionFacts(number: connectionNumber, worker: index, flow: flow, openedAt: time)
    let connection = RelayConnection(
      slot: slot, generation: generation, facts: facts, client: RelayLeg(stream), clientName: client,
      destination: destination, helloBytesMax: settings.helloBytesMax)
    guard queue.addEdge(stream.descriptor, token: token(connection, .toServer)) else {
      counters.acceptFailures &+= 1
      freeSlots.append(slot)
      stream.close(reset: true)
      return nil
    }
    connections[slot] = connection
    counters.active &+= 1
    setDeadline(connection, settings.serverFirstWaitMilliseconds)
    return connection
  }

  func token(_ connection: RelayConnection, _ side: Direction) -> UInt64 {
    UInt64(connection.generation) << 32 | UInt64(connection.slot) << 1 | (side == .toServer ? 0 : 1)
  }

  /// Makes `stream` the server's leg.
  func watch(_ stream: SocketStream, of connection: RelayConnection) -> Bool {
    connection.upstream = RelayLeg(stream)
    return queue.addEdge(stream.descriptor, token: token(connection, .toClient))
  }

  /// The kernel keeps the queue of waiting connections meanwhile.
  private func pauseAccepting(milliseconds: Int64) {
    guard !acceptsPaused else { return }
    acceptsPaused = true
    acceptPauseEnd = now + milliseconds * 1_000_000
    counters.acceptPauses &+= 1
    for place in listeners.indices where !pausedFronts.contains(place) { queue.remove(listeners[place].descriptor) }
  }

  func resumeAccepting() {
    if !pausedFronts.isEmpty, now >= frontPauseEnd, stopDeadline == nil, !acceptsPaused {
      for place in pausedFronts { _ = queue.addLevel(listeners[place].descriptor, token: UInt64(place)) }
      pausedFronts = []
    }
    guard acceptsPaused, now >= acceptPauseEnd, stopDeadline == nil else { return }
    if counters.active >= UInt64(settings.connectionCountMax) {
      acceptPauseEnd = now + 50_000_000
      return
    }
    acceptsPaused = false
    pausedFronts = []
    for place in listeners.indices { _ = queue.addLevel(listeners[place].descriptor, token: UInt64(place)) }
  }

  // MARK: Deadlines

  func setDeadline(_ connection: RelayConnection, _ milliseconds: Int64) {
    let deadline = now + milliseconds * 1_000_000
    // An entry that fires too early is only scheduled anew; one that fires too late would be wrong.
    let needsEntry = connection.timerTick == 0 || wheel.tick(for: deadline) < connection.timerTick
    connection.deadline = deadline
    if needsEntry {
      connection.timerTick = wheel.schedule(slot: connection.slot, generation: connection.generation, deadline: deadline)
    }
  }

  func timerFired(_ entry: TimerWheel.Entry) {
    guard let connection = connections[entry.slot], connection.generation == entry.generation,
      connection.timerTick == entry.tick
    else { return }
    connection.timerTick = 0
    if now < connection.deadline {
      connection.timerTick = wheel.schedule(
        slot: entry.slot, generation: entry.generation, deadline: connection.deadline)
    } else {
      timedOut(connection)
    }
  }

  private func timedOut(_ connection: RelayConnection) {
    switch connection.stage {
    case .hello where connection.termination != nil:
      counters.helloTimeouts &+= 1
      tell(.helloTimedOut, connection)
      refuse(connection)
    case .hello: helloWaitOver(connection)
    case .upstreamHandshake where connection.awaitsAcceptance: accepted(connection)
    case .dialing, .upstreamHandshake:
      if let front = connection.termination {
        counters.dialTimeouts &+= 1
        return backendFailed(connection, front, "timed out")
      }
      if connection.stage == .upstreamHandshake { return handshakeTimedOut(connection) }
      counters.dialTimeouts &+= 1
      tell(.upstreamUnreachable("timed out"), connection)
      refuse(connection)
    case .minting: mintingTimedOut(connection)
    case .clientHandshake: handshakeTimedOut(connection)
    case .relaying:
      counters.idleTimeouts &+= 1
      end(connection, .idleTimeout)
    case .closing, .refusing: discard(connection)
    case .closed: break
    }
  }

  private func handshakeTimedOut(_ connection: RelayConnection) {
    counters.handshakeTimeouts &+= 1
    tell(.handshakeTimedOut(connection.stage == .clientHandshake ? .toServer : .toClient), connection)
    refuse(connection)
  }

  func tell(_ event: InterceptionEvent, _ connection: RelayConnection) {
    observer.occurred(event, on: connection.facts, at: time)
    // A site's own clients teach nothing about the servers of others.
    guard connection.termination == nil else { return }
    if let more = services.policy.noticed(event, on: connection.facts, at: time) {
      observer.occurred(more, on: connection.facts, at: time)
    }
  }
}
