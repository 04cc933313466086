import Traffic

/// A connection to a backend between two clients.
struct SpareConnection {
  let backend: Backend
  let leg: RelayLeg
  let tlsVersion: UInt16
  /// Monotonic nanoseconds.
  let until: Int64
}

/// Connections to backends of sites outlive their clients: the next client gets one that is there. Between two of its requests a
/// client keeps the one it has, so that no two are ever under way on one.
///
/// The backend may end one while nobody looks, also between two requests of one client. A client whose request has had no answer
/// on a connection that served before gets a new one instead, once, and what it asked is asked again, where that may be done
/// twice; otherwise it is told that the backend did not answer (502).
/// - Source: RFC 9112 section 9.3.1, RFC 9110 section 9.2.2.
/// - Limits: those of the site, and `spareCountMax` for all of a worker's.
extension InterceptionWorker {
  static let spareCountMax = 1_024

  // MARK: Keeping

  func mayKeepSpare(_ connection: RelayConnection, _ front: Termination) -> Bool {
    guard let site = front.site?.settings, site.keptCount > 0, site.sendsProxyHeader == nil, stopDeadline == nil,
      front.exchange?.isAtRest == true, let backend = front.backend, let stream = connection.upstream?.stream
    else { return false }
    // Pending or ended in either direction: the backend has heard of this client's end, or has ended itself.
    let toServer = connection.lanes[Direction.toServer.index]
    let toClient = connection.lanes[Direction.toClient.index]
    guard stream.isOpen, !stream.sawHangUp, !stream.didShutDown, !stream.sawEnd, !toServer.hasPending, !toClient.hasPending,
      !toServer.isFinished, toClient.endedWithCloseNotify == nil
    else { return false }
    return spareCount < Self.spareCountMax && (spares[ObjectIdentifier(backend)]?.count ?? 0) < site.keptCount
  }

  /// Takes the backend's connection from one that ends, where another client can use it.
  func keepSpare(_ connection: RelayConnection, _ front: Termination) {
    guard mayKeepSpare(connection, front), let site = front.site?.settings, let backend = front.backend,
      let leg = connection.upstream, leg.stream.sendsAtOnce()
    else { return }
    queue.remove(leg.stream.descriptor)
    connection.upstream = nil
    let until = now + site.keptSeconds * 1_000_000_000
    let spare = SpareConnection(backend: backend, leg: leg, tlsVersion: connection.facts.upstreamTLSVersion, until: until)
    spares[ObjectIdentifier(backend), default: []].append(spare)
    spareCount += 1
    sparesEnd = min(sparesEnd ?? until, until)
  }

  /// Closes those whose time is over.
  func dropOldSpares() {
    guard let end = sparesEnd, now >= end || stopDeadline != nil else { return }
    var next: Int64?
    for (key, kept) in spares {
      let (old, others) = (kept.filter { $0.until <= now || stopDeadline != nil }, kept.filter { $0.until > now && stopDeadline == nil })
      for spare in old { drop(spare) }
      spares[key] = others.isEmpty ? nil : others
      for spare in others { next = min(next ?? spare.until, spare.until) }
    }
    sparesEnd = next
  }

  private func drop(_ spare: SpareConnection) {
    spareCount -= 1
    _ = spare.leg.finish(closeNotify: true)
    spare.leg.close(reset: false)
    spare.leg.dropTLS()
  }

  // MARK: Using

  /// The latest that the backend has neither ended nor said anything on.
  func takeSpare(of backend: Backend) -> SpareConnection? {
    let key = ObjectIdentifier(backend)
    while let spare = spares[key]?.popLast() {
      if spares[key]?.isEmpty == true { spares[key] = nil }
      spare.leg.stream.wake(hangUp: false)
      if now < spare.until, case (0, .wouldBlock?) = spare.leg.fill(scratch) {
        spareCount -= 1
        return spare
      }
      drop(spare)
    }
    return nil
  }

  /// - Returns: false where it cannot be listened to.
  func begin(_ connection: RelayConnection, _ front: Termination, on spare: SpareConnection) -> Bool {
    guard queue.addEdge(spare.leg.stream.descriptor, token: token(connection, .toClient)) else {
      spare.leg.close(reset: false)
      return false
    }
    counters.backendsReused &+= 1
    connection.upstream = spare.leg
    connection.facts.upstreamTLSVersion = spare.tlsVersion
    if front.site?.settings.backendTLS?.verifies == true { connection.facts.upstreamVerification = .trusted }
    front.beginOnSpare()
    backendReady(connection, front)
    return true
  }

  /// Looks at what a spare connection came to when it was read first.
  /// - Returns: whether another has taken its place.
  func spareIsStale(_ connection: RelayConnection, _ count: Int, _ stop: TransferOutcome?) -> Bool {
    guard let front = connection.termination, front.isOnSpare else { return false }
    // What comes unasked is no answer to this client.
    if count > 0, front.exchange?.isAwaitingAnswer == true {
      front.spareServes()
      return false
    }
    if count == 0, stop == .wouldBlock { return false }
    return callAnew(connection)
  }

  /// In place of a spare connection that does not do.
  /// - Returns: false where it was none, or what was asked may not be asked twice.
  func callAnew(_ connection: RelayConnection) -> Bool {
    guard let front = connection.termination, let again = front.giveUpSpare() else { return false }
    counters.backendRetries &+= 1
    connection.upstream?.close(reset: true)
    connection.upstream?.dropTLS()
    connection.upstream = nil
    let lane = Direction.toServer.index
    // What is sent again is counted once.
    let waiting = connection.lanes[lane].pending.count - connection.lanes[lane].pendingOffset
    connection.lanes[lane].forwarded -= min(connection.lanes[lane].forwarded, UInt64(max(0, again - waiting)))
    connection.lanes[lane].pending = []
    connection.lanes[lane].pendingOffset = 0
    connection.lanes[lane].isFinished = false
    connection.lanes[Direction.toClient.index].endedWithCloseNotify = nil
    callBackend(connection, front)
    return true
  }

  /// Goes on with the relay on another connection.
  func sendAgain(_ connection: RelayConnection, _ sent: [UInt8]) {
    let lane = Direction.toServer.index
    connection.lanes[lane].pending = sent
    connection.lanes[lane].pendingOffset = 0
    connection.stage = .relaying
    connection.upstream?.stream.waits(in: sends)
    setDeadline(connection, settings.idleTimeoutMilliseconds)
    markReady(connection)
  }
}
