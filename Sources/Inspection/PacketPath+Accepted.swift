import Detection
import FlowTracking
import PacketDecoding
import StreamReassembly
import Traffic

/// What of the stream around a packet was accepted: inline, what came first stands, and a packet that
/// says otherwise is made to say the same.
extension PacketPath {
  /// The contiguous bytes around a packet, as far as they are remembered.
  mutating func acceptedAround(_ packet: borrowing DecodedPacket, _ lookup: FlowLookup) -> [UInt8] {
    let reach = StreamWindow.tailBytes
    let count = Int(packet.payloadLength)
    var run: [UInt8] = []
    var runEnd = 0
    var isOver = false
    reassembler.forEachAccepted(
      flow: lookup.index.rawValue, direction: lookup.direction,
      sequence: packet.tcp.sequence &- UInt32(reach), count: count + 2 * reach
    ) { offset, bytes in
      if isOver { return }
      if offset != runEnd {
        // What is behind a hole counts only where the packet lies in it.
        isOver = runEnd > reach
        if isOver { return }
        run.removeAll(keepingCapacity: true)
      }
      run.append(bytes)
      runEnd = offset + bytes.byteCount
    }
    return runEnd > reach ? run : []
  }

  /// The payload as it was accepted before, where that is known in full and differs.
  mutating func acceptedPayload(
    _ packet: borrowing DecodedPacket, _ bytes: RawSpan, _ lookup: FlowLookup
  ) -> [UInt8]? {
    let payload = packet.payload(of: bytes)
    var accepted: [UInt8] = []
    var isWhole = true
    reassembler.forEachAccepted(
      flow: lookup.index.rawValue, direction: lookup.direction, sequence: packet.tcp.sequence,
      count: payload.byteCount
    ) { offset, piece in
      if offset != accepted.count { isWhole = false }
      accepted.append(piece)
    }
    guard isWhole, accepted.count == payload.byteCount, accepted != payload.copied() else { return nil }
    return accepted
  }

  /// The packet with another payload of the same length, its checksum set right.
  static func rewrite(
    _ packet: borrowing DecodedPacket, _ bytes: RawSpan, _ payload: [UInt8]
  ) -> [UInt8] {
    var result = bytes.copied()
    let start = Int(packet.payloadOffset)
    let place = Int(packet.transportOffset) + 16
    guard start >= 0, start + payload.count <= result.count, place >= 0, place + 2 <= result.count else {
      return result
    }
    // RFC 1624 section 3: only the words that change count. Words begin with the segment, whose header
    // is a multiple of four octets.
    var sum = UInt32(~(UInt16(result[place]) << 8 | UInt16(result[place + 1])))
    for index in payload.indices {
      let shift: UInt32 = index & 1 == 0 ? 8 : 0
      sum &+= UInt32(payload[index]) << shift &+ (0xffff &- UInt32(result[start + index]) << shift)
      sum = sum & 0xffff &+ sum >> 16
      result[start + index] = payload[index]
    }
    sum = sum & 0xffff &+ sum >> 16
    let checksum = ~UInt16(truncatingIfNeeded: sum)
    result[place] = UInt8(checksum >> 8)
    result[place + 1] = UInt8(truncatingIfNeeded: checksum)
    return result
  }
}
