import Traffic

/// Follows the handshake of one TLS connection (SSLv2-compatible hellos to TLS 1.3).
///
/// Records are read as they come and never stored; only hellos and certificates are put together.
/// After ChangeCipherSpec, or the first record of application data, a direction is ciphertext:
/// its records are counted past.
/// - Source: RFC 8446 section 5, RFC 5246 section 6.2, draft-hickman-netscape-ssl (SSLv2).
/// - Limits: `TLSSettings`.
public final class TLSParser: AppLayerParser {
  public let settings: TLSSettings
  var connection: TLSTransaction?
  private var toServer = TLSLeg()
  private var toClient = TLSLeg()
  /// Octets of the heartbeat that waits for its answer under encryption, by who sent it.
  private var pendingHeartbeat: (direction: Direction, length: Int)?
  var hasServerHelloDone = false

  public init(settings: TLSSettings = TLSSettings()) {
    self.settings = settings
    super.init(appProtocol: .tls)
  }

  /// The connection, once its first octet has been seen; also after it was taken from `transactions`.
  public var transaction: TLSTransaction? { connection }

  /// What follows is ciphertext in both directions.
  public var isEncrypted: Bool { toServer.isEncrypted && toClient.isEncrypted }

  public override var endsMessagesWithTransactions: Bool { false }

  public override func consume(_ chunk: borrowing StreamChunk) {
    let direction = chunk.direction
    hasOnlyPassed = passCiphertext(chunk)
    if hasOnlyPassed { return }
    let connection = self.connection ?? begin(at: chunk.time)
    // Taken out while it is worked on: a copy would count references to what it holds.
    var leg = TLSLeg()
    if direction == .toServer { swap(&leg, &toServer) } else { swap(&leg, &toClient) }
    if !hasFailed(direction) {
      var reader = ByteReader(chunk.bytes)
      var isSound = chunk.gapBefore == 0 || passGap(chunk.gapBefore, &leg)
      while isSound, !reader.isAtEnd {
        let remaining = reader.remaining
        isSound = step(&reader, &leg, direction, connection)
        if let frames {
          let start = chunk.bytes.byteCount - remaining
          frames.feed(chunk.bytes.extracting(start..<chunk.bytes.byteCount - reader.remaining), direction)
        }
      }
      if !isSound { fail(direction) }
    }
    if direction == .toServer { swap(&leg, &toServer) } else { swap(&leg, &toClient) }
    if chunk.isEnd { connection.advance(direction, to: TLSProgress.finished) }
  }

  /// Counts past what lies within a record of ciphertext, as most octets do.
  private func passCiphertext(_ chunk: borrowing StreamChunk) -> Bool {
    guard chunk.gapBefore == 0, !chunk.isEnd, frames == nil, !hasFailed(chunk.direction) else { return false }
    let count = chunk.bytes.byteCount
    return chunk.direction == .toServer ? toServer.passCiphertext(count) : toClient.passCiphertext(count)
  }

  public override func finish(at time: Timestamp) {
    connection?.advance(.toServer, to: TLSProgress.finished)
    connection?.advance(.toClient, to: TLSProgress.finished)
  }

  private func begin(at time: Timestamp) -> TLSTransaction {
    let started = TLSTransaction(start: time)
    connection = started
    transactions.append(started)
    return started
  }

  private func hasFailed(_ direction: Direction) -> Bool {
    direction == .toServer ? hasFailed.toServer : hasFailed.toClient
  }

  /// What is no TLS after all hides nothing, in neither direction: who feigns it would hide an attack behind it.
  private func fail(_ direction: Direction) {
    if direction == .toServer { hasFailed.toServer = true } else { hasFailed.toClient = true }
    hidesPayload = false
  }

  /// Rules on payload have nothing to find once both sides speak TLS and one of them sends ciphertext. Records of one
  /// side alone are what an attacker may write before anything.
  private func noteCiphertext(_ leg: borrowing TLSLeg, _ direction: Direction) {
    let hasOtherSpoken = direction == .toServer ? toClient.hasSeenRecord : toServer.hasSeenRecord
    guard leg.isEncrypted, hasOtherSpoken, !hasFailed.toServer, !hasFailed.toClient else { return }
    hidesPayload = true
  }

  /// A gap is harmless where it lies within a record of ciphertext.
  private func passGap(_ octets: UInt64, _ leg: inout TLSLeg) -> Bool {
    guard leg.isEncrypted, leg.isInRecord, octets <= UInt64(leg.remaining) else { return false }
    leg.remaining -= Int(octets)
    leg.position += Int(octets)
    if leg.remaining == 0 { leg.endRecord() }
    return true
  }

  // MARK: Records

  /// Goes on by one header or one piece of content.
  /// - Returns: false when nothing more can be understood.
  private func step(
    _ reader: inout ByteReader, _ leg: inout TLSLeg, _ direction: Direction,
    _ connection: TLSTransaction
  ) -> Bool {
    if leg.ssl2 != nil { return stepSSL2(&reader, &leg, direction, connection) }
    guard !leg.isInRecord else {
      guard let piece = reader.take(min(leg.remaining, reader.remaining)) else { return false }
      takeContent(piece, &leg, direction, connection)
      return true
    }
    if leg.hasSeenRecord, leg.headerCount == 0, frames == nil, reader.remaining >= 5,
      let type = reader.u8(), let version = reader.u16(), let length = reader.u16()
    {
      // A header that is whole, which most are, in one step; it is refused by the same octets.
      guard isContentType(type, leg, connection),
        isVersionStart(UInt8(truncatingIfNeeded: version >> 8), connection)
      else { return false }
      leg.header = UInt64(type) << 32 | UInt64(version) << 16 | UInt64(length)
      leg.headerCount = 5
      return beginRecord(&leg, direction, connection)
    }
    guard let octet = reader.u8() else { return false }
    if !leg.hasSeenRecord, leg.headerCount == 0, octet & 0x80 != 0 {
      leg.ssl2 = [octet]
      return true
    }
    if leg.headerCount == 0, let frames {
      frames.begin("pdu", direction, transaction: 0)
      frames.begin("hdr", direction, transaction: 0)
    }
    leg.header = leg.header << 8 | UInt64(octet)
    leg.headerCount += 1
    if leg.headerCount < 5 { return mayBeHeader(leg, connection) }
    return beginRecord(&leg, direction, connection)
  }

  /// Refuses what is no record with its first octets: those that wait for the header to be whole are hidden from rules
  /// where ciphertext is.
  private func mayBeHeader(_ leg: borrowing TLSLeg, _ connection: TLSTransaction) -> Bool {
    let octet = UInt8(truncatingIfNeeded: leg.header)
    if leg.headerCount == 1 { return isContentType(octet, leg, connection) }
    guard leg.headerCount == 2 else { return true }
    return isVersionStart(octet, connection)
  }

  /// The first octet of TLS 1.0 to 1.3 and of its drafts.
  private func isVersionStart(_ octet: UInt8, _ connection: TLSTransaction) -> Bool {
    switch octet {
    case 0x03, 0x7f, 0xfb: return true
    default:
      connection.raise("invalid_record_version")
      return false
    }
  }

  private func isContentType(_ type: UInt8, _ leg: borrowing TLSLeg, _ connection: TLSTransaction) -> Bool {
    if (TLSContent.changeCipherSpec...TLSContent.heartbeat).contains(type) { return true }
    connection.raise(leg.hasSeenRecord ? "invalid_record_type" : "invalid_tls_header")
    return false
  }

  private func beginRecord(
    _ leg: inout TLSLeg, _ direction: Direction, _ connection: TLSTransaction
  ) -> Bool {
    let type = UInt8(leg.header >> 32 & 0xff)
    let version = TLSVersion(rawValue: UInt16(leg.header >> 16 & 0xffff))
    let length = Int(leg.header & 0xffff)
    guard version.isKnown, version != .ssl2 else {
      connection.raise("invalid_record_version")
      return false
    }
    // Plaintext has at most 2^14 octets; encryption of old could add 2,048 (RFC 5246 section 6.2.3).
    guard length <= 16384 + 2048 else {
      connection.raise("invalid_record_length")
      return false
    }
    leg.hasSeenRecord = true
    leg.contentType = type
    leg.remaining = length
    leg.position = 0
    leg.isInRecord = true
    markContent(type, length, direction)
    if type == TLSContent.applicationData {
      beginEncrypted(&leg, direction, connection)
      noteCiphertext(leg, direction)
    }
    if type == TLSContent.heartbeat { beginHeartbeat(length, leg, direction, connection) }
    if length > 0 {
      leg.emptyRecordCount = 0
      return true
    }
    leg.endRecord()
    leg.emptyRecordCount += 1
    if leg.emptyRecordCount > settings.emptyRecordCountMax {
      connection.raise("too_many_records_in_packet")
      return false
    }
    return true
  }

  /// The frames of a record whose header has just been read.
  private func markContent(_ type: UInt8, _ length: Int, _ direction: Direction) {
    guard let frames else { return }
    frames.end("hdr", direction)
    guard length > 0 else { return frames.end("pdu", direction) }
    frames.begin("data", direction, transaction: 0, isUpcoming: true)
    if type == TLSContent.alert { frames.begin("alert", direction, transaction: 0, isUpcoming: true) }
    if type == TLSContent.heartbeat { frames.begin("heartbeat", direction, transaction: 0, isUpcoming: true) }
  }

  private func takeContent(
    _ piece: RawSpan, _ leg: inout TLSLeg, _ direction: Direction, _ connection: TLSTransaction
  ) {
    if !leg.isEncrypted {
      switch leg.contentType {
      case TLSContent.handshake: takeHandshake(piece, &leg, direction, connection)
      case TLSContent.alert, TLSContent.heartbeat: takeStart(piece, &leg, direction, connection)
      default: break
      }
    }
    leg.position += piece.byteCount
    leg.remaining -= piece.byteCount
    guard leg.remaining == 0 else { return }
    if let frames { for name in ["pdu", "data", "alert", "heartbeat"] { frames.end(name, direction) } }
    if leg.contentType == TLSContent.handshake { endMessage(direction) }
    if leg.contentType == TLSContent.changeCipherSpec {
      changeCipherSpec(&leg, direction, connection)
    }
    leg.endRecord()
  }

  // MARK: From plain to encrypted

  /// In TLS 1.3 this record has no meaning and may come before the second hello of either side.
  private func changeCipherSpec(
    _ leg: inout TLSLeg, _ direction: Direction, _ connection: TLSTransaction
  ) {
    if let hello = connection.serverHello, hello.isRetryRequest {
      if direction == .toClient || leg.clientHelloCount < 2 { return }
    }
    if direction == .toClient, let hello = connection.serverHello, !hello.version.isTLS13,
      connection.serverCertificates == nil, !hasServerHelloDone
    {
      connection.isResumed = true
    }
    beginEncrypted(&leg, direction, connection)
  }

  private func beginEncrypted(
    _ leg: inout TLSLeg, _ direction: Direction, _ connection: TLSTransaction
  ) {
    // Early data goes out before the server has even been heard (RFC 8446 section 2.3), and where
    // the server wants another hello, that follows in the clear.
    if direction == .toServer, connection.clientHello?.hasEarlyData == true,
      connection.serverHello?.isRetryRequest ?? true
    {
      return
    }
    leg.isEncrypted = true
    leg.handshake.reset()
    connection.advance(
      direction,
      to: direction == .toServer
        ? TLSProgress.clientHandshakeDone : TLSProgress.serverHandshakeDone)
  }

  // MARK: Alerts and heartbeats

  /// Collects the first octets of a short record and reads them when there are enough.
  private func takeStart(
    _ piece: RawSpan, _ leg: inout TLSLeg, _ direction: Direction, _ connection: TLSTransaction
  ) {
    let isAlert = leg.contentType == TLSContent.alert
    let wanted = isAlert ? 2 : 3
    guard leg.start.count < wanted else { return }
    let count = min(wanted - leg.start.count, piece.byteCount)
    leg.start.append(piece.extracting(0..<count))
    guard leg.start.count == wanted else { return }
    if isAlert {
      if connection.alert == nil { connection.alert = (direction, leg.start[0], leg.start[1]) }
      return
    }
    // RFC 6520: a request (1) or response (2), then the length of the payload; 16 octets of padding.
    let claimed = Int(leg.start[1]) << 8 | Int(leg.start[2])
    let length = leg.position + leg.remaining
    if leg.start[0] == 1 || leg.start[0] == 2 {
      if claimed + 3 > length { connection.raise("overflow_heartbeat_message") }
    } else {
      connection.raise("invalid_heartbeat_message")
    }
  }

  /// A heartbeat before encryption is out of place; one whose answer is longer than itself gives
  /// away memory (CVE-2014-0160), which shows even in ciphertext.
  private func beginHeartbeat(
    _ length: Int, _ leg: TLSLeg, _ direction: Direction, _ connection: TLSTransaction
  ) {
    if !leg.isEncrypted { connection.raise("heartbeat_message") }
    guard let pending = pendingHeartbeat, pending.direction != direction else {
      pendingHeartbeat = (direction, length)
      return
    }
    if length > pending.length { connection.raise("dataleak_heartbeat_mismatch") }
    pendingHeartbeat = nil
  }

  // MARK: SSLv2

  /// Collects an SSLv2 message and reads it when it is whole.
  private func stepSSL2(
    _ reader: inout ByteReader, _ leg: inout TLSLeg, _ direction: Direction,
    _ connection: TLSTransaction
  ) -> Bool {
    guard var message = leg.ssl2 else { return false }
    leg.ssl2 = nil
    if message.count < 3 {
      guard let octet = reader.u8() else { return false }
      message.append(octet)
      leg.ssl2 = message
      guard message.count == 3 else { return true }
      guard octet == SSL2.expectedMessage(direction) else {
        connection.raise(octet == 0 ? "error_message_encountered" : "invalid_sslv2_header")
        return false
      }
      return true
    }
    let total = 2 + (Int(message[0] & 0x7f) << 8 | Int(message[1]))
    guard let piece = reader.take(min(max(0, total - message.count), reader.remaining)) else {
      return false
    }
    message.append(piece)
    guard message.count >= total else {
      leg.ssl2 = message
      return true
    }
    leg.hasSeenRecord = true
    return takeSSL2(message, &leg, direction, connection)
  }

  private func takeSSL2(
    _ message: [UInt8], _ leg: inout TLSLeg, _ direction: Direction, _ connection: TLSTransaction
  ) -> Bool {
    if direction == .toServer {
      guard let hello = SSL2.clientHello(message.rawSpan) else {
        connection.raise("invalid_sslv2_header")
        return false
      }
      connection.clientHello = connection.clientHello ?? hello
      connection.advance(.toServer, to: TLSProgress.clientHelloDone)
      if hello.legacyVersion == .ssl2 { leg.isEncrypted = true }
      // What follows is SSL 3 or TLS if the server chose that; SSLv2 goes on in its own framing,
      // of which nothing is readable.
      return hello.legacyVersion != .ssl2
    }
    guard let (hello, chain) = SSL2.serverHello(message.rawSpan) else {
      connection.raise("invalid_sslv2_header")
      return false
    }
    connection.serverHello = connection.serverHello ?? hello
    connection.advance(.toClient, to: TLSProgress.serverHello)
    if chain != nil { takeChain(chain, .toClient, connection) }
    leg.isEncrypted = true
    return false
  }
}

extension TLSTransaction {
  func raise(_ name: String) { raise(AppEvent(.tls, name)) }
}
