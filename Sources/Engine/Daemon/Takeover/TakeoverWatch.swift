import Interception
import Traffic

/// What one direction of a connection has sent and the other end has not yet acknowledged.
struct UnacknowledgedBytes {
  /// The sequence number of the first octet of `bytes`.
  private(set) var start: UInt32 = 0
  private(set) var bytes: [UInt8] = []
  /// Octets seen in all.
  private(set) var total = 0
  private(set) var isKnown = false

  var next: UInt32 { start &+ UInt32(truncatingIfNeeded: bytes.count) }

  mutating func begin(at sequence: UInt32) {
    start = sequence
    bytes = []
    total = 0
    isKnown = true
  }

  /// Takes what follows what is there; what comes before its time waits at the ends, not here.
  mutating func append(_ payload: RawSpan, at sequence: UInt32) {
    guard isKnown else { return }
    let known = Int(Int32(bitPattern: next &- sequence))
    guard known >= 0, known < payload.byteCount else { return }
    bytes.append(payload.extracting(known..<payload.byteCount))
    total &+= payload.byteCount &- known
  }

  mutating func acknowledge(_ acknowledgement: UInt32) {
    guard isKnown else { return }
    let count = Int(Int32(bitPattern: acknowledgement &- start))
    guard count > 0 else { return }
    if count >= bytes.count {
      // More than was kept: it was sent out of order, and has arrived.
      bytes.removeAll(keepingCapacity: true)
      start = acknowledgement
    } else {
      bytes.removeFirst(count)
      start = acknowledgement
    }
  }
}

/// What is kept of one connection as long as it may be taken over.
struct TakeoverWatch {
  struct Held {
    var id: UInt32
    var mark: UInt32
    var hook: UInt8
  }

  let flowID: UInt64
  /// Who sends the frames of each end, on a bridge; 0 elsewhere.
  var clientHardware: UInt64 = 0
  var serverHardware: UInt64 = 0
  var client = UnacknowledgedBytes()
  var server = UnacknowledgedBytes()
  /// The hello as far as it has come; empty before its first octet.
  var peek = ClientHelloPeek()
  /// Packets from the first octet of the hello on, without a verdict.
  var held: [Held] = []
  /// Monotonic nanoseconds.
  var heldSince: Int64 = 0
  /// Times that the hello was made to come again.
  var retries = 0

  init(flowID: UInt64) { self.flowID = flowID }

  var isHolding: Bool { !held.isEmpty }
  var byteCount: Int { client.bytes.count &+ server.bytes.count }

  /// Whether a payload can be the beginning of a ClientHello: at the start of the stream by as little
  /// as its first octet, later only by all that makes one.
  /// - Source: RFC 8446 sections 4 and 5.1.
  func mayBeHello(_ payload: RawSpan) -> Bool {
    guard payload.byteCount > 0, payload.u8(at: 0) == 22 else { return false }
    if payload.byteCount < 6, client.total > 0 { return false }
    if payload.byteCount >= 2, payload.u8(at: 1) != 3 { return false }
    return payload.byteCount < 6 || payload.u8(at: 5) == 1
  }
}
