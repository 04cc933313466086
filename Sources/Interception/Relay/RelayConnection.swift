import Traffic

/// Where a connection stands. Legal ways:
/// hello → dialing → relaying (plain, tunnelled), or
/// hello → dialing → upstreamHandshake (→ minting) → clientHandshake → relaying (decrypted) or refusing, or from
/// upstreamHandshake or minting back to dialing (tunnelled after all), or for a site of our own
/// hello → clientHandshake → dialing → upstreamHandshake → relaying, the handshakes where TLS is spoken;
/// from anywhere to closing (the client still gets something to read) or closed.
enum RelayStage {
  /// Waits for the client's first bytes. The server may already be called, or even be speaking.
  case hello
  /// It is known what to do; waits for the server's TCP connection.
  case dialing
  case upstreamHandshake
  /// The process with the authority's key signs a leaf.
  case minting
  case clientHandshake
  case relaying
  /// Only the client is left: its request is waited for, to be answered with a page.
  case refusing
  /// Only the client is left: it gets the rest of what is meant for it, what it sends is discarded.
  case closing
  case closed
}

/// What travels in one direction.
struct RelayLane {
  /// Inspected bytes that the receiving side did not take yet; the sender is not read meanwhile.
  var pending: [UInt8] = []
  var pendingOffset = 0
  /// Octets inspected so far.
  var inspected: UInt64 = 0
  /// Octets the receiving side took.
  var forwarded: UInt64 = 0
  /// Set once the sender ended; true by close_notify, or for plain bytes.
  var endedWithCloseNotify: Bool?
  /// The sender asked for a renegotiation.
  var askedToRenegotiate = false
  /// The end has been passed on.
  var isFinished = false

  var hasPending: Bool { pendingOffset < pending.count }
}

/// One intercepted connection; lives in a worker's slab and is touched by its thread only.
final class RelayConnection {
  let slot: Int
  let generation: UInt32
  var facts: RelayConnectionFacts
  var stage: RelayStage = .hello
  let client: RelayLeg
  /// nil until the server is called.
  var upstream: RelayLeg?
  /// The call to the server is under way.
  var isDialing = false
  /// Nothing has passed, and the call to the server can be made again.
  var canBeCalledAnew = true
  /// Where the server is called.
  let destination: SocketName
  let clientName: SocketName

  /// Of connections to sites of our own; nil for those that are meant for others.
  var termination: Termination?
  var peek: ClientHelloPeek
  var sketch: ClientHelloSketch?
  /// A hello that waits until what the server said before has reached the client; at the start and amid the relay.
  var heldHello: ClientHelloSketch?
  /// Under which sessions of the server are kept.
  var sessionKey: SessionCache.Key?
  /// Once the server's certificate has been looked at.
  var judged: JudgedServer?
  /// Layers of TLS that are open.
  var layerCount = 0
  /// A hello may still come inside.
  var watchesForHello = true
  var inspector: (any RelayInspector)?
  /// The handshake is done, and the server may yet refuse a client without a certificate.
  var awaitsAcceptance = false
  /// When the step in hand began, monotonic nanoseconds.
  var stepStart: Int64 = 0
  /// What the client is answered instead of the server, once it has asked.
  var refusal: [UInt8]?
  /// The last octets of what it asked.
  var refusalTail: [UInt8] = []
  var lanes = [RelayLane(), RelayLane()]

  /// Monotonic nanoseconds; what happens then depends on the stage.
  var deadline: Int64 = 0
  /// The wheel's tick for this connection; others of its entries are stale.
  var timerTick: Int64 = 0
  /// Has more to do without waiting for epoll.
  var isReady = false

  init(
    slot: Int, generation: UInt32, facts: RelayConnectionFacts, client: RelayLeg, clientName: SocketName,
    destination: SocketName, helloBytesMax: Int
  ) {
    self.slot = slot
    self.generation = generation
    self.facts = facts
    self.client = client
    self.clientName = clientName
    self.destination = destination
    peek = ClientHelloPeek(bytesMax: helloBytesMax)
  }

  func sender(_ direction: Direction) -> RelayLeg? { direction == .toServer ? client : upstream }
  func receiver(_ direction: Direction) -> RelayLeg? { direction == .toServer ? upstream : client }

  /// What the chunks are to be, as far as decided.
  var wantsDecryption: Bool { facts.decision?.action == .inspect && sketch != nil }

  var bytesForwarded: [UInt64] { lanes.map(\.forwarded) }
}
