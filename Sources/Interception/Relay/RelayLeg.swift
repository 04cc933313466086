import Traffic

/// One side of a relay: a socket, and TLS over it once that is spoken, maybe in layers.
///
/// SAFETY: pointers into the scratch buffer or a borrowed span are used within the call only.
@safe
final class RelayLeg {
  let stream: SocketStream
  /// The innermost layer.
  var tls: TLSEndpoint?
  /// Those around it, outermost first.
  private var outer: [TLSEndpoint] = []

  init(_ stream: SocketStream) { self.stream = stream }

  /// What the next layer of TLS reads and writes.
  func inside() -> ByteStream {
    if let tls { LayerStream(tls) } else { stream }
  }

  func push(_ endpoint: TLSEndpoint) {
    if let tls { outer.append(tls) }
    tls = endpoint
  }

  func dropTLS() {
    tls = nil
    outer = []
  }

  /// FIN, behind the ends of all layers around the innermost.
  func shutDown() {
    for endpoint in outer.reversed() { _ = endpoint.closeNotify() }
    stream.shutDown()
  }

  /// Reads until the scratch buffer is full or nothing more comes.
  ///
  /// - Returns: the octets read, and why it ended; nil where the buffer is full.
  func fill(_ scratch: ScratchBuffer) -> (count: Int, stop: TransferOutcome?) {
    var count = 0
    while count < scratch.count {
      if isKnownEmpty { return (count, .wouldBlock) }
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: scratch.memory[count...])
      switch unsafe readOnce(rest) {
      case .moved(let more): count += more
      case let stop: return (count, stop)
      }
    }
    return (count, nil)
  }

  /// Nothing has come since the last read, and nothing is left of it: most reads would end so.
  private var isKnownEmpty: Bool {
    guard stream.isKnownEmpty, outer.isEmpty else { return false }
    return tls?.hasPending != true
  }

  /// Writes as much as goes; after `wouldBlock` the next call must begin with the bytes left over.
  func write(_ bytes: RawSpan) -> (count: Int, stop: TransferOutcome?) {
    var count = 0
    while count < bytes.byteCount {
      let outcome = unsafe bytes.extracting(count..<bytes.byteCount).withUnsafeBytes { unsafe writeOnce($0) }
      guard case .moved(let more) = outcome else { return (count, outcome) }
      count += more
    }
    return (count, nil)
  }

  /// Ends the direction towards this side as the other side ended it.
  ///
  /// - Returns: false where close_notify could not be written yet.
  func finish(closeNotify: Bool) -> Bool {
    guard stream.sendsAtOnce() else { return false }
    guard let tls else {
      stream.shutDown()
      return true
    }
    if closeNotify { return tls.closeNotify() }
    // FIN without close_notify: the truncation stays visible.
    stream.shutDown()
    return true
  }

  func close(reset: Bool) { stream.close(reset: reset) }

  private func readOnce(_ memory: UnsafeMutableRawBufferPointer) -> TransferOutcome {
    if let tls { return unsafe tls.read(memory) }
    return switch unsafe stream.receive(memory) {
    case -1: .wouldBlock
    case 0: .ended(closeNotify: true)
    case let count where count > 0: .moved(count)
    default: .reset
    }
  }

  private func writeOnce(_ memory: UnsafeRawBufferPointer) -> TransferOutcome {
    if let tls { return unsafe tls.write(memory) }
    return switch unsafe stream.send(memory) {
    case -1: .wouldBlock
    case let count where count >= 0: .moved(count)
    default: .reset
    }
  }
}
