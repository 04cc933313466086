import Traffic

extension InterceptionWorker {
  func startRelay(_ connection: RelayConnection) {
    connection.stage = .relaying
    switch connection.facts.form {
    case .plain: counters.relayedPlain &+= 1
    case .tunnelled: counters.relayedTunnelled &+= 1
    // Further layers are counted by themselves.
    case .decrypted: if connection.layerCount <= 1 { counters.relayedDecrypted &+= 1 }
    }
    connection.watchesForHello = connection.termination == nil
    connection.termination?.hasRelayed = true
    connection.client.stream.waits(in: sends)
    connection.upstream?.stream.waits(in: sends)
    setDeadline(connection, settings.idleTimeoutMilliseconds)
    openInspector(connection)
    pump(connection)
  }

  func pump(_ connection: RelayConnection) {
    if pump(connection, .toServer), connection.stage == .relaying { _ = pump(connection, .toClient) }
    if connection.heldHello != nil { continueHeldHello(connection) }
  }

  /// Moves what can be moved in one direction: inspect first, then write.
  ///
  /// At most one scratch buffer of inspected bytes waits for the receiver; until it is written the
  /// sender is not read, so that the kernel's window slows the sender down.
  /// - Returns: whether the connection lives on.
  func pump(_ connection: RelayConnection, _ direction: Direction) -> Bool {
    guard let source = connection.sender(direction), let sink = connection.receiver(direction) else { return true }
    // After so many buffers the other connections have their turn.
    for _ in 0..<8 {
      guard flush(connection, direction, sink) else { return connection.stage != .closed }
      if connection.lanes[direction.index].endedWithCloseNotify != nil {
        return passEnd(connection, direction, source, sink)
      }
      if direction == .toServer, let front = connection.termination, let exchange = front.exchange {
        // Until the server has said whether it speaks another protocol, what follows can't be read.
        if exchange.isAwaitingSwitch { return true }
        if exchange.hasHeld {
          guard let outcome = front.exchange?.takeHeld(), self.exchange(connection, front, outcome, sink) else { return false }
          continue
        }
      }
      // A hello waits for what the server said before it; the client waits with it.
      if direction == .toServer, connection.heldHello != nil { return true }
      let (count, stop) = source.fill(scratch)
      if direction == .toClient, spareIsStale(connection, count, stop) { return false }
      if let tls = source.tls, tls.refusedRenegotiation { renegotiationRefused(connection, direction, tls) }
      if count > 0, !forward(connection, direction, count, sink) { return false }
      switch stop {
      case nil, .moved: continue
      case .wouldBlock: return true
      case .ended(let closeNotify):
        // What began as a hello was none.
        if direction == .toServer, !letHelloPass(connection, sink) { return false }
        if direction == .toClient, answerForBackend(connection, "it ended the connection") { return false }
        connection.lanes[direction.index].endedWithCloseNotify = closeNotify
        guard inspectEnd(connection, direction) else { return false }
      case .reset:
        if direction == .toClient, answerForBackend(connection, "it reset the connection") { return false }
        end(connection, .reset(by: direction))
        return false
      case .failed(let failure):
        if direction == .toClient, answerForBackend(connection, failure.text) { return false }
        end(connection, .failed(direction, failure.text))
        return false
      }
    }
    markReady(connection)
    return true
  }

  private static let largeChunkBytes = 8_192

  /// Told once for each side of a connection.
  private func renegotiationRefused(_ connection: RelayConnection, _ direction: Direction, _ tls: TLSEndpoint) {
    tls.refusedRenegotiation = false
    counters.renegotiationsRefused &+= 1
    guard !connection.lanes[direction.index].askedToRenegotiate else { return }
    connection.lanes[direction.index].askedToRenegotiate = true
    tell(.renegotiationRefused(direction), connection)
  }

  /// Inspects the first `count` octets of the scratch buffer and writes them.
  private func forward(_ connection: RelayConnection, _ direction: Direction, _ count: Int, _ sink: RelayLeg) -> Bool {
    let scratch = scratch
    let bytes = scratch.bytes(count)
    let lane = direction.index
    // Others' answers are not to wait until so much has been looked at.
    if count > Self.largeChunkBytes { sends.flush() }
    let chunk = StreamChunk(
      bytes: bytes, direction: direction, offset: connection.lanes[lane].inspected, time: time)
    let verdict = inspect(connection, chunk)
    guard obey(connection, verdict) else { return false }
    connection.lanes[lane].inspected &+= UInt64(count)
    setDeadline(connection, settings.idleTimeoutMilliseconds)
    if case .rewrite(let forward, let back, let reason) = verdict {
      return rewrite(connection, direction, forward, back, reason, sink)
    }
    if direction == .toServer, holdsHello(connection, bytes) { return feedHello(connection, bytes, sink) }
    if let front = connection.termination, front.exchange != nil {
      if direction == .toServer {
        if front.exchange?.isAtRest == true, front.exchange?.hasAnswered == true { front.beginOnSpare() }
        guard let outcome = front.exchange?.request(bytes) else { return true }
        return exchange(connection, front, outcome, sink)
      }
      let isAwaiting = front.exchange?.isAwaitingSwitch == true
      front.exchange?.response(bytes)
      if isAwaiting, front.exchange?.isAwaitingSwitch == false { markReady(connection) }
    }
    return deliver(connection, direction, bytes, sink)
  }

  /// Passes other octets on than came, and tells the sender something.
  private func rewrite(
    _ connection: RelayConnection, _ direction: Direction, _ forward: [UInt8], _ back: [UInt8], _ reason: String?,
    _ sink: RelayLeg
  ) -> Bool {
    connection.termination?.exchange?.lose()
    if let reason {
      counters.streamCuts &+= 1
      tell(.streamCut(reason: reason), connection)
    }
    if !back.isEmpty, let sender = connection.sender(direction) {
      let lane = direction.opposite.index
      if connection.lanes[lane].hasPending {
        connection.lanes[lane].pending += back
      } else if !deliver(connection, direction.opposite, back.rawSpan, sender) {
        return false
      }
    }
    return forward.isEmpty || deliver(connection, direction, forward.rawSpan, sink)
  }

  /// Writes what has been inspected; what the receiver does not take waits.
  ///
  /// - Returns: whether the connection lives on.
  func deliver(_ connection: RelayConnection, _ direction: Direction, _ bytes: RawSpan, _ sink: RelayLeg) -> Bool {
    let lane = direction.index
    let (written, stop) = sink.write(bytes)
    noteForwarded(connection, direction, written)
    switch stop {
    case nil: return true
    case .wouldBlock:
      counters.backpressure &+= 1
      connection.lanes[lane].pending = bytes.extracting(written..<bytes.byteCount).copied()
      connection.lanes[lane].pendingOffset = 0
      return true
    case .moved, .ended, .reset: notTaken(connection, direction, nil)
    case .failed(let failure): notTaken(connection, direction, failure)
    }
    return false
  }

  /// The receiver takes nothing more: the connection ends, if it is not a site's whose backend can be replaced, or be answered for.
  private func notTaken(_ connection: RelayConnection, _ direction: Direction, _ failure: TLSFailure?) {
    if direction == .toServer {
      if callAnew(connection) { return }
      // What the backend said before may still be there, and ends the connection behind it.
      if connection.termination?.exchange != nil, !pump(connection, .toClient) || connection.stage != .relaying { return }
      if answerForBackend(connection, failure?.text ?? "it reset the connection") { return }
    }
    if let failure { return end(connection, .failed(direction.opposite, failure.text)) }
    end(connection, .reset(by: direction.opposite))
  }

  /// - Returns: whether nothing is left waiting; false also when the connection ended over it.
  private func flush(_ connection: RelayConnection, _ direction: Direction, _ sink: RelayLeg) -> Bool {
    let lane = direction.index
    guard connection.lanes[lane].hasPending else { return sink.stream.isSettled || sink.stream.settle() }
    let pending = connection.lanes[lane].pending
    let offset = connection.lanes[lane].pendingOffset
    let (written, stop) = unsafe sink.write(pending.span.bytes.extracting(offset..<pending.count))
    connection.lanes[lane].pendingOffset = offset + written
    noteForwarded(connection, direction, written)
    if written > 0 { setDeadline(connection, settings.idleTimeoutMilliseconds) }
    switch stop {
    case nil:
      connection.lanes[lane].pending = []
      connection.lanes[lane].pendingOffset = 0
      return true
    case .wouldBlock: return false
    case .moved, .ended, .reset: notTaken(connection, direction, nil)
    case .failed(let failure): notTaken(connection, direction, failure)
    }
    return false
  }

  /// The sender ended and everything it sent has been taken.
  private func passEnd(_ connection: RelayConnection, _ direction: Direction, _ source: RelayLeg, _ sink: RelayLeg) -> Bool {
    let lane = direction.index
    if direction == .toServer, let front = connection.termination, mayKeepSpare(connection, front) {
      // The backend hears nothing of the client's end.
      _ = source.finish(closeNotify: connection.lanes[lane].endedWithCloseNotify ?? false)
      end(connection, .finished)
      return false
    }
    if !connection.lanes[lane].isFinished {
      let closeNotify = connection.lanes[lane].endedWithCloseNotify ?? false
      guard sink.finish(closeNotify: closeNotify) else { return true }
      connection.lanes[lane].isFinished = true
    }
    guard sink.stream.settle() else { return true }
    // FIN follows close_notify when the sender's did.
    if source.stream.sawHangUp { sink.shutDown() }
    guard connection.lanes[direction.opposite.index].isFinished else { return true }
    end(connection, .finished)
    return false
  }

  private func noteForwarded(_ connection: RelayConnection, _ direction: Direction, _ count: Int) {
    connection.lanes[direction.index].forwarded &+= UInt64(count)
    if direction == .toServer { counters.bytesToServer &+= UInt64(count) } else { counters.bytesToClient &+= UInt64(count) }
  }

  // MARK: Inspection

  private func openInspector(_ connection: RelayConnection) {
    guard connection.inspector == nil else { return }
    let inspector = observer.makeInspector()
    connection.inspector = inspector
    inspector.opened(connection.facts)
  }

  private func inspect(_ connection: RelayConnection, _ chunk: borrowing StreamChunk) -> RelayVerdict {
    // A server that speaks before its client is inspected from its first byte.
    openInspector(connection)
    return connection.inspector?.inspect(chunk) ?? .cut(reason: "no inspector")
  }

  private func inspectEnd(_ connection: RelayConnection, _ direction: Direction) -> Bool {
    let scratch = scratch
    let nothing = scratch.bytes(0)
    let chunk = StreamChunk(
      bytes: nothing, direction: direction, offset: connection.lanes[direction.index].inspected, isEnd: true, time: time)
    let verdict = inspect(connection, chunk)
    guard obey(connection, verdict) else { return false }
    guard case .rewrite(let forward, let back, let reason) = verdict, let sink = connection.receiver(direction) else { return true }
    return rewrite(connection, direction, forward, back, reason, sink)
  }

  /// - Returns: whether the chunk may pass, or what stands for it.
  private func obey(_ connection: RelayConnection, _ verdict: RelayVerdict) -> Bool {
    switch verdict {
    case .forward, .rewrite: return true
    case .cut(let reason):
      counters.cuts &+= 1
      end(connection, .cut(reason: reason))
    case .block(let response, let reason):
      counters.blocks &+= 1
      end(connection, .blocked(reason: reason), response: response)
    }
    return false
  }
}
