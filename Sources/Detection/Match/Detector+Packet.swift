import AppLayer
import PacketDecoding
import Traffic

extension Detector {
  /// Tries the rules on headers, on the packet's payload and on events.
  ///
  /// - Parameters:
  ///   - packet: as decoded from `bytes`, after defragmentation.
  ///   - flow: nil for packets without a flow.
  ///   - state: the flow's; nil without one.
  ///   - payloadIsInStream: the TCP payload went into the stream, so that rules on the stream see it
  ///     there; otherwise they are tried on the packet.
  ///   - streamEvents: what the reassembler found odd about this packet.
  public mutating func inspectPacket(
    _ packet: borrowing DecodedPacket, bytes: RawSpan, flow: FlowFacts?, state: FlowDetection?,
    payloadIsInStream: Bool, streamEvents: StreamEventSet = StreamEventSet(),
    into matches: inout MatchList
  ) {
  }
}
