import AppLayer
import Inspection
import Traffic

/// Recognition and parser of one protocol, on the chunks of its flows.
///
/// Connections that others announce (data connections of FTP) are not recognised here.
final class ParseStage: Stage {
  let name: String
  let unit: String
  private let appProtocol: AppProtocol
  private let flows: [Preparation.Flow]
  private let pieces: [Preparation.Piece]
  private let octets: [UInt8]
  private let settings: AppLayerSettings
  private let files: FileExaminer
  private let wanted: [AppProtocol: Int]
  private var seen: [AppProtocol: Int] = [:]

  /// A stage for each protocol that the capture holds; together they have to see the transactions that the path saw.
  static func all(
    _ preparation: Preparation, _ expectation: Expectation, _ settings: InspectionSettings
  ) throws(StageError) -> [ParseStage] {
    var byProtocol: [AppProtocol: [Preparation.Flow]] = [:]
    for flow in preparation.flows where !flow.pieces.isEmpty {
      let alone = ParseStage(.unknown, [flow], preparation, settings, wanted: [:])
      byProtocol[alone.parse(), default: []].append(flow)
    }
    var stages: [ParseStage] = []
    var sum: [AppProtocol: Int] = [:]
    for (found, flows) in byProtocol where found != .unknown && found != .failed {
      let trial = ParseStage(found, flows, preparation, settings, wanted: [:])
      _ = trial.parse()
      sum.merge(trial.seen) { $0 + $1 }
      stages.append(ParseStage(found, flows, preparation, settings, wanted: trial.seen))
    }
    for (appProtocol, count) in expectation.transactions where appProtocol != .ftpData && sum[appProtocol] != count {
      throw StageError("\(sum[appProtocol] ?? 0) transactions of \(appProtocol.name) parsed, \(count) by the path")
    }
    return stages.sorted { $0.name < $1.name }
  }

  private init(
    _ appProtocol: AppProtocol, _ flows: [Preparation.Flow], _ preparation: Preparation, _ settings: InspectionSettings,
    wanted: [AppProtocol: Int]
  ) {
    name = "parse " + appProtocol.name
    self.appProtocol = appProtocol
    self.flows = flows
    pieces = preparation.pieces
    octets = preparation.octets
    self.settings = settings.appLayer
    files = FileExaminer(settings: settings.appLayer.files)
    self.wanted = wanted
    // Some protocols have frames alone.
    unit = wanted.isEmpty ? "chunk" : "transaction"
  }

  var unitCount: Int {
    wanted.isEmpty ? flows.reduce(0) { $0 + $1.pieces.count } : wanted.values.reduce(0, +)
  }

  var octetCount: Int { flows.reduce(0) { $0 + $1.pieces.reduce(0) { $0 + pieces[$1].range.count } } }

  func round(_ number: Int64) throws(StageError) {
    seen.removeAll(keepingCapacity: true)
    try expect("as the protocol", measured(), appProtocol)
    try expect("transactions", seen, wanted)
  }

  @inline(never)
  private func measured() -> AppProtocol { parse() }

  /// - Returns: what all flows were recognised as; `unknown` where they differ.
  @inline(never)
  private func parse() -> AppProtocol {
    var found: AppProtocol?
    for flow in flows {
      let tuple = flow.tuple
      let appLayer = AppLayerFlow(
        settings: settings, transport: flow.isTCP ? .tcp : .udp, serverPort: tuple.destinationPort,
        clientPort: tuple.sourcePort, isMidstream: flow.isMidstream, files: files)
      for place in flow.pieces {
        feed(pieces[place], to: appLayer, flow.isTCP)
        take(appLayer)
      }
      appLayer.finish(at: flow.lastTime)
      take(appLayer, isEnd: true)
      found = found == nil || found == appLayer.appProtocol ? appLayer.appProtocol : .unknown
    }
    return found ?? .unknown
  }

  private func feed(_ piece: Preparation.Piece, to appLayer: AppLayerFlow, _ isTCP: Bool) {
    let octets = octets
    let chunk = piece.chunk(octets.rawSpan)
    if !isTCP {
      appLayer.consumeDatagram(chunk)
    } else if !piece.isRawOnly {
      appLayer.consume(chunk)
    }
  }

  /// Those that are complete are taken away, as the path does it behind each packet.
  private func take(_ appLayer: AppLayerFlow, isEnd: Bool = false) {
    appLayer.removeTransactions { transaction in
      guard isEnd || transaction.isComplete else { return false }
      seen[transaction.appProtocol, default: 0] += 1
      return true
    }
  }
}
