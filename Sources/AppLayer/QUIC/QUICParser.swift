import Traffic

/// Reads the handshake of a QUIC connection out of its datagrams, up to the hellos of both sides: all
/// behind them is encrypted with keys that nobody else has.
///
/// - Source: RFC 9000, 9001, 9369; Suricata 8 for what is a transaction.
/// - Limits: `cryptoBytesMax` octets of a hello in pieces.
public final class QUICParser: AppLayerParser {
  private var keys: QUICKeys?
  private var toServer = Side()
  private var toClient = Side()
  private var nextID: UInt64 = 0
  private var hasRetried = false
  /// The client's hello as a handshake message, until `forgetHello`.
  public private(set) var clientHello: [UInt8]?
  /// A packet of the client's had to hold (a piece of) the hello and cannot be read: another version, other keys.
  public private(set) var isUnreadable = false

  /// Octets of the handshake message that are put together, whatever order they come in.
  static let cryptoBytesMax = 65_536
  /// Pieces of it that wait for one before them.
  static let pieceCountMax = 256

  private struct Side {
    var isDone = false
    /// Contiguous from the start.
    var message: [UInt8] = []
    var pieces: [(offset: Int, bytes: [UInt8])] = []
    var octets = 0
  }

  public init() { super.init(appProtocol: .quic) }

  public func forgetHello() { clientHello = nil }

  override public func consume(_ chunk: borrowing StreamChunk) {
    var bytes = chunk.bytes
    while bytes.byteCount > 0 {
      let done = chunk.direction == .toServer ? toServer.isDone : toClient.isDone
      guard case .packet(let packet) = QUICPacket.read(bytes) else { return }
      let isRetry = chunk.direction == .toClient && packet.kind == .retry
      if done, !isRetry, !beginsAnew(packet, bytes, chunk.direction) { return }
      let own = bytes.extracting(0..<packet.byteCount)
      bytes = bytes.extracting(packet.byteCount..<bytes.byteCount)
      guard take(packet, own, chunk.direction, chunk.time) else { return }
    }
  }

  /// - Returns: whether what follows in the datagram is worth looking at.
  private func take(_ packet: QUICPacket, _ bytes: RawSpan, _ direction: Direction, _ time: Timestamp) -> Bool {
    let transaction = QUICTransaction(id: nextID, version: packet.version, direction: direction, start: time)
    nextID &+= 1
    transactions.append(transaction)
    if packet.kind == .retry, direction == .toClient, !hasRetried {
      // The client begins anew, with keys from the identifier that the server chose (RFC 9001 section
      // 5.2), and takes no second Retry (RFC 9000 section 17.2.5.2).
      hasRetried = true
      toServer = Side()
    }
    guard packet.kind == .initial else { return true }
    if QUICVersion.isGoogle(packet.version) {
      isUnreadable = isUnreadable || direction == .toServer
      takeGoogle(packet, bytes, transaction, direction)
      return true
    }
    guard let frames = open(packet, bytes, direction) else {
      transaction.raise("failed_decrypt")
      isUnreadable = isUnreadable || direction == .toServer
      return false
    }
    guard takeFrames(frames.rawSpan, direction, transaction) else {
      transaction.raise("error_on_data")
      isUnreadable = isUnreadable || direction == .toServer
      return false
    }
    finishHello(direction, transaction)
    return true
  }

  /// Another connection on the same ports, once the hellos of one have been seen.
  private func beginsAnew(_ packet: QUICPacket, _ bytes: RawSpan, _ direction: Direction) -> Bool {
    guard direction == .toServer, packet.kind == .initial, let keys else { return false }
    let own = bytes.extracting(0..<packet.byteCount)
    guard keys.open(own, numberAt: packet.numberAt, from: .toServer) == nil,
      let fresh = QUICKeys(version: packet.version, destination: packet.destination),
      fresh.open(own, numberAt: packet.numberAt, from: .toServer) != nil
    else { return false }
    self.keys = fresh
    toServer = Side()
    toClient = Side()
    hasRetried = false
    return true
  }

  private func open(_ packet: QUICPacket, _ bytes: RawSpan, _ direction: Direction) -> [UInt8]? {
    if let frames = keys?.open(bytes, numberAt: packet.numberAt, from: direction) { return frames }
    // The first packet of a connection makes the keys; another connection may follow on the same ports.
    guard direction == .toServer, let fresh = QUICKeys(version: packet.version, destination: packet.destination),
      let frames = fresh.open(bytes, numberAt: packet.numberAt, from: direction)
    else { return nil }
    keys = fresh
    toServer = Side()
    return frames
  }

  // MARK: Frames

  /// - Returns: false for a frame that has no place in an Initial packet (RFC 9000 section 12.4).
  private func takeFrames(_ bytes: RawSpan, _ direction: Direction, _ transaction: QUICTransaction) -> Bool {
    var reader = ByteReader(bytes)
    while let type = reader.u8() {
      switch type {
      case 0, 1: continue
      case 2, 3: guard Self.skipACK(&reader, hasCounts: type == 3) else { return false }
      case 6:
        guard let offset = QUICPacket.varint(&reader), let length = QUICPacket.varint(&reader),
          let count = Int(exactly: length), let data = reader.take(count)
        else { return false }
        addCrypto(offset, data, direction, transaction)
      case 0x1c:
        guard QUICPacket.varint(&reader) != nil, QUICPacket.varint(&reader) != nil,
          let length = QUICPacket.varint(&reader), let count = Int(exactly: length), reader.skip(count)
        else { return false }
      default: return false
      }
    }
    return true
  }

  private static func skipACK(_ reader: inout ByteReader, hasCounts: Bool) -> Bool {
    guard QUICPacket.varint(&reader) != nil, QUICPacket.varint(&reader) != nil,
      let ranges = QUICPacket.varint(&reader), QUICPacket.varint(&reader) != nil, ranges <= UInt64(reader.remaining)
    else { return false }
    for _ in 0..<(ranges * 2 + (hasCounts ? 3 : 0)) where QUICPacket.varint(&reader) == nil { return false }
    return true
  }

  private func addCrypto(_ offset: UInt64, _ data: RawSpan, _ direction: Direction, _ transaction: QUICTransaction) {
    var side = direction == .toServer ? toServer : toClient
    defer { if direction == .toServer { toServer = side } else { toClient = side } }
    let end = offset.addingReportingOverflow(UInt64(data.byteCount))
    guard !end.overflow, end.partialValue <= UInt64(Self.cryptoBytesMax), side.pieces.count < Self.pieceCountMax,
      side.octets <= Self.cryptoBytesMax
    else {
      transaction.raise("crypto_frag_too_long")
      return
    }
    side.octets += data.byteCount
    side.pieces.append((Int(offset), data.copied()))
    side.pieces.sort { $0.offset < $1.offset }
    while let next = side.pieces.first, next.offset <= side.message.count {
      side.message += next.bytes.dropFirst(side.message.count - next.offset)
      side.pieces.removeFirst()
    }
  }

  /// Reads the hello once it is whole.
  private func finishHello(_ direction: Direction, _ transaction: QUICTransaction) {
    let message = direction == .toServer ? toServer.message : toClient.message
    guard message.count >= 4 else { return }
    let length = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
    guard message.count >= 4 + length else { return }
    let body = message.rawSpan.extracting(4..<4 + length)
    if direction == .toServer, message[0] == 1 {
      transaction.clientHello = ClientHello(parsing: body)
      clientHello = Array(message.prefix(4 + length))
    } else if direction == .toClient, message[0] == 2 {
      transaction.serverHello = ServerHello(parsing: body)
    }
    if transaction.clientHello == nil, transaction.serverHello == nil { transaction.raise("error_on_data") }
    if direction == .toServer {
      if transaction.clientHello == nil { isUnreadable = true }
      toServer = Side(isDone: true)
    } else {
      toClient = Side(isDone: true)
    }
  }

  // MARK: Google's QUIC

  /// Packets before the keys are known: a number, a hash of 12 octets, frames in the clear.
  private func takeGoogle(
    _ packet: QUICPacket, _ bytes: RawSpan, _ transaction: QUICTransaction, _ direction: Direction
  ) {
    let numberCount = Int(bytes.u8(at: 0) & 3) + 1
    let at = packet.numberAt + numberCount + 12
    guard direction == .toServer, at < bytes.byteCount else { return }
    var reader = ByteReader(bytes.extracting(at..<bytes.byteCount))
    while let type = reader.u8() {
      if type == 0 { continue }
      // 1FDOOOSS: a stream frame with its length, offset and stream number.
      guard type & 0x80 != 0 else { return }
      let offsetCode = Int(type >> 2 & 7)
      guard reader.skip(Int(type & 3) + 1), reader.skip(offsetCode == 0 ? 0 : offsetCode + 1) else { return }
      var data = reader.rest()
      if type & 0x20 != 0 {
        guard let count = reader.u16(), let own = reader.take(Int(count)) else { return }
        data = own
      } else {
        guard reader.skip(reader.remaining) else { return }
      }
      if let hello = GoogleHello(data, version: packet.version) { transaction.google = hello }
    }
  }
}
