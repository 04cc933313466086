import TestSupport
import Testing

/// Rules on headers alone, of which those that are about other addresses and ports are left out once for a flow.
@Suite struct HeaderRuleTests {
  /// More than are told apart by flow, with those that hold among the first and among the last.
  private static let rules: [String] = (1...70).map { number in
    let header =
      switch number {
      case 3, 64: "tcp any any -> any 80"
      case 4, 65: "tcp any 80 -> any any"
      case 5, 66: "tcp any 80 <> any any"
      case 6, 67: "tcp 10.0.0.0/8 any -> any any"
      case 7, 68: "ip any any -> any any"
      case 8, 69: "tcp any any -> any !80"
      default: "tcp any any -> any \(1000 + number)"
      }
    return #"alert \#(header) (msg:"r"; flags:A+; sid:\#(number);)"#
  }

  private static func seen(_ rules: [String]) -> Set<[UInt64]> {
    let scene = PathScene.run(PathScene.exchange().packets, rules: rules.joined(separator: "\n")) { $0.alertsPerPacketMax = 100 }
    return Set(scene.sink.alerts.map { [UInt64($0.sid), $0.packet] })
  }

  @Test func `each meets the packets that it meets alone, whatever its place`() {
    let alone = Self.rules.map { Self.seen([$0]) }
    #expect(Self.seen(Self.rules) == alone.reduce(into: []) { $0.formUnion($1) })
    for number in [3, 4, 5, 6, 7, 8, 64, 65, 66, 67, 68, 69] { #expect(!alone[number - 1].isEmpty, "\(number)") }
    #expect(alone[0].isEmpty)
  }
}
