import Glibc
import Traffic

/// Leaves whose signature another process makes; the connections that wait for one go on when it comes.
extension InterceptionWorker {
  typealias WithLeaf = (InterceptionWorker, RelayConnection, MintedLeaf) -> Void

  /// A leaf that is being signed, and who waits for it, by slot and generation.
  struct LeafInMaking {
    var leaf: UnsignedLeaf
    var waiters: [(slot: Int, generation: UInt32, then: WithLeaf)]
  }

  /// Has `then` called with the leaf, at once or when it has been signed.
  func obtain(_ outcome: LeafOutcome?, for connection: RelayConnection, then: @escaping WithLeaf) {
    switch outcome {
    case .ready(let leaf): then(self, connection, leaf)
    case .unsigned(let leaf): haveSigned(leaf, connection, then)
    case nil: mintingFailed(connection, OpenSSLErrors.drain().text)
    }
  }

  private func haveSigned(_ leaf: UnsignedLeaf, _ connection: RelayConnection, _ then: @escaping WithLeaf) {
    let waiter = (slot: connection.slot, generation: connection.generation, then: then)
    if let place = inMaking.firstIndex(where: { $0.leaf.isSame(as: leaf) }) {
      inMaking[place].waiters.append(waiter)
    } else {
      guard let signing, signing.ask(leaf) else {
        return mintingFailed(connection, "the process with the authority's key can't be asked")
      }
      inMaking.append(LeafInMaking(leaf: leaf, waiters: [waiter]))
    }
    connection.stage = .minting
    setDeadline(connection, settings.signatureWaitMilliseconds)
  }

  /// The process with the key has said something.
  func hearSigner() {
    guard let signing else { return }
    for news in signing.news() {
      switch news {
      case .signed(let leaf, let signature):
        let waiters = takeWaiters(leaf)
        if let minted = minter.finish(leaf, signature: signature) {
          for waiter in waiters { waiter.then(self, waiter.connection, minted) }
        } else {
          let text = OpenSSLErrors.drain().text
          for waiter in waiters { mintingFailed(waiter.connection, text) }
        }
      case .refused(let leaf, let reason):
        for waiter in takeWaiters(leaf) { mintingFailed(waiter.connection, reason) }
      case .restarted: counters.signerRestarts &+= 1
      case .gone:
        queue.remove(signing.descriptor)
        let text = "the process with the authority's key is gone"
        for leaf in inMaking.map(\.leaf) { for waiter in takeWaiters(leaf) { mintingFailed(waiter.connection, text) } }
        services.signerIsGone?()
      }
    }
  }

  /// Those that still wait.
  private func takeWaiters(_ leaf: UnsignedLeaf) -> [(connection: RelayConnection, then: WithLeaf)] {
    guard let place = inMaking.firstIndex(where: { $0.leaf === leaf }) else { return [] }
    return inMaking.remove(at: place).waiters.compactMap { waiter in
      guard let connection = connections[waiter.slot], connection.generation == waiter.generation, connection.stage == .minting
      else { return nil }
      return (connection, waiter.then)
    }
  }

  /// The signature did not come in time.
  func mintingTimedOut(_ connection: RelayConnection) {
    counters.signatureTimeouts &+= 1
    mintingFailed(connection, "the process with the authority's key does not answer")
    // Whoever comes next asks anew, and is not one of many who wait for what was lost.
    for place in inMaking.indices.reversed() where takesNobody(inMaking[place]) {
      signing?.forget(inMaking.remove(at: place).leaf)
    }
  }

  private func takesNobody(_ one: LeafInMaking) -> Bool {
    !one.waiters.contains { waiter in
      connections[waiter.slot].map { $0.generation == waiter.generation && $0.stage == .minting } ?? false
    }
  }

  /// A trusted server for whose certificate none can be made: blocked, or left encrypted, as is set.
  func mintingFailed(_ connection: RelayConnection, _ reason: String) {
    counters.mintingFailures &+= 1
    tell(.mintingFailed(reason), connection)
    if settings.mintingFailure == .tunnel, connection.canBeCalledAnew, connection.termination == nil {
      return tunnelAnew(
        connection, PolicyDecision(.tunnel, reason: "tunnel: no certificate could be made (interception.minting-failure)"))
    }
    // RFC 8446 section 6.2: internal_error.
    refuse(connection, alert: 80)
  }
}
