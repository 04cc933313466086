import Traffic

/// Reads the open part of both directions of an SSH connection.
///
/// - Source: RFC 4253; HASSH (the algorithms that a side offers, in its order).
/// - Invariant: the result does not depend on how a direction is cut into chunks.
public final class SSHParser: AppLayerParser {
  private var client = SSHLeg()
  private var server = SSHLeg()

  public init() { super.init(appProtocol: .ssh) }

  override public var endsMessagesWithTransactions: Bool { false }

  override public func consume(_ chunk: borrowing StreamChunk) {
    let direction = chunk.direction
    if transactions.isEmpty, hasBegun { return }
    if !hasBegun {
      hasBegun = true
      transactions.append(SSHTransaction(start: chunk.time))
    }
    guard let connection = transactions.first as? SSHTransaction else { return }
    if frames != nil {
      client.keepsRecords = true
      server.keepsRecords = true
    }
    if direction == .toServer {
      if chunk.gapBefore > 0 { client.stop() }
      client.take(chunk.bytes) { take($0, .toServer, connection) }
    } else {
      if chunk.gapBefore > 0 { server.stop() }
      server.take(chunk.bytes) { take($0, .toClient, connection) }
    }
  }

  private var hasBegun = false
  private var hasKeys = (toServer: false, toClient: false)

  /// Both sides have taken keys into use: there is nothing more to be read.
  public var isEncrypted: Bool { hasKeys.toServer && hasKeys.toClient }

  override public func finish(at time: Timestamp) {
    guard let connection = transactions.first as? SSHTransaction else { return }
    for direction in Direction.allCases { connection.update(direction, to: SSHProgress.complete) { _ in } }
  }

  private func take(_ output: SSHLeg.Output, _ direction: Direction, _ connection: SSHTransaction) {
    switch output {
    case .banner(let version, let software):
      endMessage(direction)
      connection.update(direction, to: SSHProgress.banner) {
        $0.version = version
        $0.software = software
      }
    case .offer(let lists):
      // A later offer is of a connection that is encrypted already, or is not heeded.
      guard connection.side(direction).offer == nil else { return }
      // Key exchange, then what this side sends with: cipher, MAC, compression.
      let own = direction == .toServer ? [lists[0], lists[2], lists[4], lists[6]] : [lists[0], lists[3], lists[5], lists[7]]
      let text = Array(own.joined(separator: [59]))
      connection.update(direction, to: SSHProgress.offer) {
        $0.offer = text
        $0.fingerprint = Digest.md5.hex(text)
      }
    case .newKeys:
      if direction == .toServer { hasKeys.toServer = true } else { hasKeys.toClient = true }
      // Nothing is parsed from here on: what was said so far is inspected as it is.
      if isEncrypted { messageEnds = (true, true) }
      connection.update(direction, to: SSHProgress.complete) { _ in }
    case .record(let header, let content):
      frames?.add("record.hdr", direction, header.rawSpan, transaction: connection.id)
      frames?.add("record.data", direction, content.rawSpan, transaction: connection.id)
      frames?.add("record.pdu", direction, (header + content).rawSpan, transaction: connection.id)
    case .event(let event): connection.raise(event)
    }
  }
}
