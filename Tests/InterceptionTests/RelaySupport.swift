import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Synchronization
import Testing

@testable import Interception

/// A server that sends back what it gets until the client ends.
func echo(_ peer: Peer) {
  while let bytes = peer.read(), !bytes.isEmpty, peer.write(bytes) {}
  peer.endWriting()
}

/// A TLS server for `server.example` that runs `handler` once the handshake is done.
func tlsServer(
  family: Int32 = AF_INET, version: Int32 = 0, certificate: Certificate? = nil, protocols: [String] = [],
  _ handler: @escaping @Sendable (Peer) -> Void = echo
) throws -> PeerServer {
  let leaf = try certificate ?? Lab.leaf()
  let context = try PeerContext.server(leaf, Lab.serverKey, version: version, protocols: protocols)
  return try PeerServer(family: family) { peer in
    if peer.startTLS(context) { handler(peer) }
  }
}

func pattern(_ count: Int, seed: UInt32 = 1) -> [UInt8] {
  var state = seed
  return (0..<count).map { _ in
    state = state &* 1_664_525 &+ 1_013_904_223
    return UInt8(truncatingIfNeeded: state >> 24)
  }
}

/// Gathers what server threads saw.
final class Seen: Sendable {
  private let bytes = Mutex<[UInt8]>([])
  private let notes = Mutex<[String]>([])
  func add(_ more: [UInt8]) { bytes.withLock { $0 += more } }
  func note(_ text: String) { notes.withLock { $0.append(text) } }
  var all: [UInt8] { bytes.withLock { $0 } }
  var noted: [String] { notes.withLock { $0 } }
}

/// Waits for what another thread is about to bring about; an issue where it never comes.
func waitUntil(_ condition: () -> Bool, at place: SourceLocation = #_sourceLocation) {
  for _ in 0..<20_000 {
    if condition() { return }
    usleep(1_000)
  }
  Issue.record("never came true", sourceLocation: place)
}

/// Joins two sockets and, when armed, changes one octet on the way, at a place that varies.
final class Noise: Sendable {
  private struct State {
    var random: UInt32
    var isArmed = false
  }
  private let state: Mutex<State>
  init(seed: UInt32) { state = Mutex(State(random: seed)) }

  func arm(_ armed: Bool) { state.withLock { $0.isArmed = armed } }

  func join(_ left: Peer, _ right: Peer) {
    let back = try? WorkerThread.start { [self] in
      pass(right, left)
      left.sendFIN()
    }
    pass(left, right)
    right.sendFIN()
    back?.join()
  }

  private func pass(_ source: Peer, _ sink: Peer) {
    var target = state.withLock { state -> Int in
      guard state.isArmed else { return -1 }
      state.random = state.random &* 1_664_525 &+ 1_013_904_223
      return Int(state.random >> 8) % 2_500
    }
    while var bytes = source.read(), !bytes.isEmpty {
      if target >= 0, target < bytes.count { bytes[target] ^= 0x41 }
      target -= bytes.count
      if !sink.write(bytes) { return }
    }
  }
}

/// Opens once.
final class Gate: Sendable {
  private let isOpen = Mutex(false)
  func open() { isOpen.withLock { $0 = true } }
  func wait() { while !isOpen.withLock({ $0 }) { usleep(1_000) } }
}
