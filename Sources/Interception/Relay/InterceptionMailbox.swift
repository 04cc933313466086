import CSluiceLinux
import Glibc
import Synchronization
import Traffic

/// A connection that others made and a worker is to relay; the worker closes the descriptors.
public struct AdoptedConnection: Sendable {
  /// Connected to the client.
  public var client: Int32
  /// Connected to the server; nil where the worker is to call it.
  public var upstream: Int32?
  public var clientName: InterceptionSettings.Destination
  public var destination: InterceptionSettings.Destination
  /// What the client sent and was already read.
  public var clientBytes: [UInt8]
  /// Nothing passed before these bytes, so that the server may be called anew by the worker's own means.
  public var canBeCalledAnew: Bool

  public init(
    client: Int32, upstream: Int32?, clientName: InterceptionSettings.Destination,
    destination: InterceptionSettings.Destination, clientBytes: [UInt8] = [], canBeCalledAnew: Bool = false
  ) {
    self.client = client
    self.upstream = upstream
    self.clientName = clientName
    self.destination = destination
    self.clientBytes = clientBytes
    self.canBeCalledAnew = canBeCalledAnew
  }
}

/// How other threads talk to a worker.
public final class InterceptionMailbox: Sendable {
  struct Contents {
    var adopted: [AdoptedConnection] = []
    var isStopping = false
    var isClosed = false
    var counters = InterceptionCounters()
  }

  private let contents = Mutex(Contents())
  let descriptor: Int32

  public init() throws(InterceptionError) {
    descriptor = sluice_eventfd()
    guard descriptor >= 0 else { throw .system(call: "eventfd", reason: errorText(errno)) }
  }
  deinit {
    for left in contents.withLock({ $0.adopted }) { Self.close(left) }
    Glibc.close(descriptor)
  }

  /// Accept nothing more; end when the last connection did, or after the drain time.
  public func stop() {
    contents.withLock { $0.isStopping = true }
    wake()
  }

  /// - Returns: false where the worker is gone; the descriptors are closed then.
  @discardableResult
  public func adopt(_ connection: AdoptedConnection) -> Bool {
    let isTaken = contents.withLock { contents in
      if contents.isClosed || contents.isStopping { return false }
      contents.adopted.append(connection)
      return true
    }
    if isTaken { wake() } else { Self.close(connection) }
    return isTaken
  }

  /// As of the worker's last batch.
  public var counters: InterceptionCounters { contents.withLock { $0.counters } }

  /// The worker's side: what came in since, and what to tell others.
  func exchange(_ counters: InterceptionCounters) -> (adopted: [AdoptedConnection], isStopping: Bool) {
    contents.withLock { contents in
      contents.counters = counters
      let adopted = contents.adopted
      if !adopted.isEmpty { contents.adopted = [] }
      return (adopted, contents.isStopping)
    }
  }

  func close(_ counters: InterceptionCounters) {
    contents.withLock {
      $0.counters = counters
      $0.isClosed = true
    }
  }

  /// Has a worker without traffic look at what its observer knows: see ``InterceptionObserver/awoken()``.
  public func wakeObserver() { wake() }

  func acknowledge() {
    var count: UInt64 = 0
    // SAFETY: an eventfd reads 8 octets.
    unsafe read(descriptor, &count, 8)
  }

  private func wake() {
    var one: UInt64 = 1
    // SAFETY: an eventfd takes 8 octets.
    unsafe write(descriptor, &one, 8)
  }

  private static func close(_ connection: AdoptedConnection) {
    Glibc.close(connection.client)
    if let upstream = connection.upstream { Glibc.close(upstream) }
  }
}
