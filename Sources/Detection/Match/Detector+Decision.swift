import PacketDecoding
import RuleLanguage
import Traffic

extension Detector {
  /// Turns matches into alerts and a decision: order, thresholds, pass, drop.
  ///
  /// - Parameters:
  ///   - matches: of one packet or chunk; emptied.
  ///   - alerts: what is to be logged is appended.
  public mutating func decide(
    _ matches: inout MatchList, packet: borrowing DecodedPacket, flow: FlowFacts?,
    state: FlowDetection?, into alerts: inout [Alert]
  ) -> DetectionDecision {
    DetectionDecision()
  }
}
