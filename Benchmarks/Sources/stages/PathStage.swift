import EventOutput
import Inspection
import Traffic

/// A packet's whole way, records written but for the disk.
final class PathStage: Stage {
  let name: String
  let unit = "packet"
  private let input: Input
  private let expectation: Expectation
  private let writer: EVEWriter
  private var path: PacketPath

  init(_ input: Input, _ expectation: Expectation, _ setup: Setup) {
    name = setup.ruleSet.ruleCount > 0 ? "path with rules" : "path"
    self.input = input
    self.expectation = expectation
    writer = EVEWriter(settings: setup.settings.outputs.eve, output: NoOutput())
    path = PacketPath(
      settings: setup.settings.inspection, ruleSet: setup.ruleSet, shared: setup.makeShared(), sink: writer)
    path.expiryLimit = .max
  }

  var unitCount: Int { input.packets.count }
  var octetCount: Int { input.octets.count }

  func round(_ number: Int64) throws(StageError) {
    let (flows, delivered, lines) = (path.flowCount, path.reassemblyCounters.deliveredBytes, writer.lineCount)
    try expect("packets stopped", measured(input.roundNanoseconds &* number), 0)
    try expect("flows", path.flowCount - flows, expectation.flows)
    try expect("octets delivered", path.reassemblyCounters.deliveredBytes - delivered, expectation.deliveredOctets)
    // Those of the flows of the round before are among them.
    if number > 0, expectation.flows > 0, writer.lineCount == lines { throw StageError("\(name): no records were written") }
  }

  @inline(never)
  private func measured(_ later: Int64) -> Int {
    var stopped = 0
    let captured = input.octets
    for packet in input.packets {
      let verdict = path.process(
        captured.rawSpan.extracting(packet.range), link: packet.link, time: packet.time.later(by: later),
        length: packet.length)
      if verdict.isStopped { stopped &+= 1 }
    }
    return stopped
  }
}
