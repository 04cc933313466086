import Traffic

/// Takes DNS messages out of datagrams or of a stream.
///
/// After a gap in a stream it goes on at the next message when the gap ends within the one that was
/// under way; otherwise at the next chunk that begins like a message.
/// - Limits: a message has at most 65,535 octets by its framing; further ones are in `DNSDecoder`.
public final class DNSParser: AppLayerParser {
  public enum Framing: Sendable {
    /// Each chunk is one message (UDP).
    case datagram
    /// Each message is preceded by its length (TCP, RFC 1035 section 4.2.2).
    case stream
  }
  public let framing: Framing
  private var nextID: UInt64 = 0
  private var toServer = Leg()
  private var toClient = Leg()
  private let supply: AppLayerSupply?

  /// - Parameters:
  ///   - appProtocol: `.dns`, or `.mdns`, which has the same messages.
  ///   - supply: of the worker, for messages that are done with; nil to make each anew.
  public init(framing: Framing, appProtocol: AppProtocol = .dns, supply: AppLayerSupply? = nil) {
    self.framing = framing
    self.supply = appProtocol == .dns ? supply : nil
    super.init(appProtocol: appProtocol)
  }

  public override func consume(_ chunk: borrowing StreamChunk) {
    switch framing {
    case .datagram:
      if chunk.bytes.byteCount > 0 { take(chunk.bytes, chunk.direction, chunk.time) }
    case .stream:
      var leg = chunk.direction == .toServer ? toServer : toClient
      consumeStream(chunk, &leg)
      if chunk.direction == .toServer { toServer = leg } else { toClient = leg }
    }
  }

  /// One direction of a stream.
  private struct Leg {
    /// The message under way, its length of two octets first.
    var buffer: [UInt8] = []
    /// Octets of a message lost in part that are still to come.
    var skipped = 0
    var isLost = false

    /// Octets of the message under way that are missing; nil while its length is not known.
    var missing: Int? {
      buffer.count < 2 ? nil : 2 + (Int(buffer[0]) << 8 | Int(buffer[1])) - buffer.count
    }
  }

  private func consumeStream(_ chunk: borrowing StreamChunk, _ leg: inout Leg) {
    if chunk.gapBefore > 0 { passGap(chunk.gapBefore, &leg) }
    var reader = ByteReader(chunk.bytes)
    if leg.isLost {
      guard Self.looksLikeMessage(chunk.bytes, chunk.direction) else { return }
      leg.isLost = false
    }
    while !reader.isAtEnd {
      if leg.skipped > 0 {
        let count = min(leg.skipped, reader.remaining)
        leg.skipped -= count
        guard reader.skip(count) else { return }
        continue
      }
      // The message lies whole in the chunk: it is read where it lies.
      if leg.buffer.isEmpty, reader.remaining >= 2,
        reader.remaining >= 2 + Int(reader.rest().u16(at: 0))
      {
        guard let length = reader.u16(), let message = reader.take(Int(length)) else { return }
        if length > 0 { take(message, chunk.direction, chunk.time) }
        continue
      }
      guard let piece = reader.take(min(leg.missing ?? 1, reader.remaining)) else { return }
      leg.buffer.append(piece)
      if leg.missing == 0 {
        let message = leg.buffer
        leg.buffer = []
        if message.count > 2 {
          take(message.rawSpan.extracting(2..<message.count), chunk.direction, chunk.time)
        }
      }
    }
  }

  private func passGap(_ octets: UInt64, _ leg: inout Leg) {
    let open = leg.skipped > 0 ? leg.skipped : leg.missing
    leg.buffer = []
    leg.skipped = 0
    if let open, octets <= UInt64(max(0, open)) {
      leg.skipped = open - Int(octets)
    } else {
      leg.isLost = true
    }
  }

  /// Whether these bytes may be the length and header of a message going this way.
  private static func looksLikeMessage(_ bytes: RawSpan, _ direction: Direction) -> Bool {
    guard bytes.byteCount >= 2 + DNSDecoder.headerOctets else { return false }
    let flags = bytes.u16(at: 4)
    return bytes.u16(at: 0) >= UInt16(DNSDecoder.headerOctets)
      && flags & 0x8000 == (direction == .toClient ? 0x8000 : 0)
      && flags & 0x7800 <= 6 << 11 && flags & 0x0040 == 0
      // Real messages ask one question; the other counts are small.
      && bytes.u16(at: 6) <= 4 && bytes.u16(at: 8) < 256 && bytes.u16(at: 10) < 256
      && bytes.u16(at: 12) < 256
  }

  private func take(_ bytes: RawSpan, _ direction: Direction, _ time: Timestamp) {
    let transaction = message(bytes, direction, time)
    frames?.add("pdu", direction, bytes, transaction: nextID)
    nextID += 1
    // Multicast answers travel like questions: to the group.
    if appProtocol == .dns, !transaction.isMalformed || transaction.hasQueries {
      if direction == .toServer, transaction.isResponse {
        transaction.raise(AppEvent(appProtocol, "not_request"))
      } else if direction == .toClient, !transaction.isResponse {
        transaction.raise(AppEvent(appProtocol, "not_response"))
      }
    }
    transactions.append(transaction)
  }

  private func message(_ bytes: RawSpan, _ direction: Direction, _ time: Timestamp) -> DNSTransaction {
    guard let spare = supply?.dnsMessages.take() else {
      return DNSTransaction(id: nextID, message: bytes, direction: direction, appProtocol: appProtocol, start: time)
    }
    spare.renew(id: nextID, message: bytes, direction: direction, start: time)
    return spare
  }

  override func letGo(_ transaction: Transaction) {
    guard let supply, let message = transaction as? DNSTransaction, message.isSmall else { return }
    supply.dnsMessages.put(message)
  }
}
