import Engine
import EventOutput
import Glibc
import Interception
import Traffic

/// Answers about TLS connections that were learned to be left alone, a line each.
enum LearnedAnswers {
  /// `ID CLIENT -> SERVER STATE refusals=N reason`.
  static func list(_ daemon: Daemon) -> ControlAnswer {
    let now = Timestamp(seconds: Int64(time(nil)))
    let lines = daemon.learnedBypasses.map { line($0, now) }
    return ControlAnswer(isDone: true, text: lines.joined(separator: "\n"))
  }

  static func approve(_ daemon: Daemon, _ words: [String]) -> ControlAnswer {
    change(words) { daemon.approveBypass(id: $0) ? 1 : 0 }
  }

  static func forget(_ daemon: Daemon, _ words: [String]) -> ControlAnswer {
    change(words) { daemon.forgetBypass(id: $0) }
  }

  private static func change(_ words: [String], _ body: (String) -> Int) -> ControlAnswer {
    guard !words.isEmpty else { return ControlAnswer(isDone: false, text: "which entry? `sluice policy learned` lists them") }
    var count = 0
    for word in words {
      let done = body(word)
      guard done > 0 || word == "all" else { return ControlAnswer(isDone: false, text: "there is no entry \(word.prefix(40))") }
      count += done
    }
    return ControlAnswer(isDone: true, text: "\(count) changed")
  }

  private static func utc(_ time: Timestamp) -> String {
    var text: [UInt8] = []
    TimestampText.appendSeconds(time.seconds, to: &text)
    return String(decoding: text, as: UTF8.self) + "Z"
  }

  static func line(_ entry: BypassEntry, _ now: Timestamp) -> String {
    let state =
      switch entry.state {
      case .counting: "counting"
      case .awaitingApproval: "awaits-approval"
      case .active(let until) where until <= now: "over"
      case .active(let until): "tunnelled until=\(utc(until)) left=\(until.seconds(since: now))s"
      }
    // The name is what a client said, and was taken only where it can be one.
    let server = entry.key.server.replacing(" ", with: ":")
    return "\(entry.id) \(entry.key.client) -> \(server) \(state) refusals=\(entry.refusals) reason=\(entry.reason)"
  }
}
