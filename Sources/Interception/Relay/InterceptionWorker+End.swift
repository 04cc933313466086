import CSluiceLinux
import Glibc
import Traffic

extension InterceptionWorker {
  /// Ends a relay and tells of it.
  ///
  /// - Parameter response: what the client still gets, behind what already waits for it.
  func end(_ connection: RelayConnection, _ reason: RelayEnd, response: [UInt8] = []) {
    connection.inspector?.closed(
      RelaySummary(end: reason, bytesForwarded: connection.bytesForwarded, time: time))
    connection.inspector = nil
    tell(.ended(reason), connection)
    switch reason {
    case .finished:
      counters.finished &+= 1
      close(connection, resetClient: false, resetUpstream: false)
    case .reset:
      counters.resets &+= 1
      close(connection, resetClient: true, resetUpstream: true)
    case .failed(let side, _):
      counters.relayFailures &+= 1
      if !response.isEmpty { return closeGently(connection, response) }
      // The side that failed may still read the alert OpenSSL sent it.
      close(connection, resetClient: side == .toClient, resetUpstream: side == .toServer)
    case .idleTimeout, .stopped: close(connection, resetClient: true, resetUpstream: true)
    case .cut:
      if settings.cutStyle == .alert { return closeGently(connection, response) }
      close(connection, resetClient: true, resetUpstream: true)
    case .blocked: closeGently(connection, response)
    }
  }

  func stopped(_ connection: RelayConnection) {
    counters.stoppedConnections &+= 1
    if connection.stage == .relaying { end(connection, .stopped) } else { discard(connection) }
  }

  /// Ends a connection that was never relayed.
  ///
  /// - Parameters:
  ///   - alert: a fatal TLS alert for a client whose handshake has not begun; nil for RST.
  ///   - fin: FIN instead of RST, without an alert.
  ///   - end: what the inspector is told that a server which spoke first already has.
  func refuse(
    _ connection: RelayConnection, alert: UInt8? = nil, fin: Bool = false, end: RelayEnd = .reset(by: .toServer)
  ) {
    if let inspector = connection.inspector {
      inspector.closed(RelaySummary(end: end, bytesForwarded: connection.bytesForwarded, time: time))
      connection.inspector = nil
    }
    guard alert != nil || fin else { return close(connection, resetClient: true, resetUpstream: true) }
    // RFC 8446 section 6: a fatal alert in the clear, before any key.
    let record: [UInt8] = alert.map { [21, 3, 3, 0, 2, 2, $0] } ?? []
    if connection.client.tls == nil, !connection.peek.bytes.isEmpty { _ = connection.peek.takeBytes() }
    closeGently(connection, record)
  }

  /// Ends a connection that got no server; the client is told by `response`, through TLS where that is spoken.
  func turnAway(_ connection: RelayConnection, _ response: [UInt8]) { closeGently(connection, response) }

  /// Resets the server; the client gets what waits for it and `last`, then the end.
  func closeGently(_ connection: RelayConnection, _ last: [UInt8]) {
    connection.upstream?.close(reset: true)
    let lane = Direction.toClient.index
    let waiting = connection.lanes[lane].pending.dropFirst(connection.lanes[lane].pendingOffset)
    connection.lanes[lane].pending = Array(waiting) + last
    connection.lanes[lane].pendingOffset = 0
    connection.lanes[lane].isFinished = false
    connection.stage = .closing
    setDeadline(connection, settings.closingTimeoutMilliseconds)
    pumpClosing(connection)
  }

  /// Writes the rest, ends the direction, and waits for the client's end: closing a socket with
  /// unread bytes would have the kernel send RST, which could overtake the page.
  func pumpClosing(_ connection: RelayConnection) {
    let lane = Direction.toClient.index
    guard connection.client.stream.sendsAtOnce() else {
      if connection.client.stream.isReset { discard(connection) }
      return
    }
    if connection.lanes[lane].hasPending {
      let pending = connection.lanes[lane].pending
      let (written, stop) = unsafe connection.client.write(
        pending.span.bytes.extracting(connection.lanes[lane].pendingOffset..<pending.count))
      connection.lanes[lane].pendingOffset += written
      if stop != nil, stop != .wouldBlock { return discard(connection) }
      if stop != nil { return readAway(connection) }
    }
    if !connection.lanes[lane].isFinished {
      if let tls = connection.client.tls, !tls.closeNotify() { return }
      connection.client.shutDown()
      connection.lanes[lane].isFinished = true
    }
    readAway(connection)
  }

  /// Discards what the client sends, by the raw bytes: nobody reads them any more.
  private func readAway(_ connection: RelayConnection) {
    for _ in 0..<16 {
      switch unsafe connection.client.stream.receive(scratch.memory) {
      case -1: return
      case let count where count > 0: continue
      // The client may still read: no RST.
      case 0: return close(connection, resetClient: false, resetUpstream: true)
      default: return discard(connection)
      }
    }
    markReady(connection)
  }

  /// Ends a connection of which nothing more is to be told.
  func discard(_ connection: RelayConnection) { close(connection, resetClient: true, resetUpstream: true) }

  private func close(_ connection: RelayConnection, resetClient: Bool, resetUpstream: Bool) {
    guard connection.stage != .closed else { return }
    if let front = connection.termination, connection.stage == .relaying { keepSpare(connection, front) }
    connection.stage = .closed
    connection.termination?.release()
    connection.client.close(reset: resetClient)
    connection.upstream?.close(reset: resetUpstream)
    connection.client.dropTLS()
    connection.upstream?.dropTLS()
    connections[connection.slot] = nil
    freeSlots.append(connection.slot)
    counters.active &-= 1
  }
}
