import AppLayer
import PacketDecoding
import Traffic

extension Detector {
  /// Tries the rules on the raw stream of one direction.
  ///
  /// - Parameters:
  ///   - window: the bytes at hand: a tail of those seen before, then the new ones.
  ///   - newFrom: where the new ones begin in `window`.
  ///   - offset: where `window` begins in the stream.
  ///   - isEnd: nothing follows.
  ///   - packet: the packet that brought the bytes; for relayed streams one that holds the addresses.
  public mutating func inspectStream(
    _ window: RawSpan, newFrom: Int, offset: UInt64, isEnd: Bool, direction: Direction,
    packet: borrowing DecodedPacket, flow: FlowFacts, state: FlowDetection,
    into matches: inout MatchList
  ) {
  }
}
