import Detection
import Testing

@testable import Control

@Suite struct ControlAnswerTests {
  @Test func `an answer is read as it was sent`() {
    for answer in [
      ControlAnswer(isDone: true, text: "capture.packets 7\n"), ControlAnswer(isDone: false, text: "no rules\n"),
      ControlAnswer(isDone: true, text: ""),
    ] {
      let read = ControlAnswer(lines: answer.lines)
      #expect(read?.isDone == answer.isDone)
      #expect(read?.text == answer.text)
    }
  }

  @Test func `a line feed is put behind a text that has none`() {
    #expect(ControlAnswer(isDone: true, text: "stopping").lines == "ok\nstopping\n")
  }

  @Test func `what no daemon of ours sends is no answer`() {
    #expect(ControlAnswer(lines: "") == nil)
    #expect(ControlAnswer(lines: "ok") == nil)
    #expect(ControlAnswer(lines: "HTTP/1.1 200 OK\n") == nil)
  }

  @Test func `of rules the metrics tell checks, matches and seconds, each rule a series`() {
    var dear = RuleCost(gid: 1, sid: 7, rev: 2, message: "dear")
    dear.checks = 1000
    dear.matches = 3
    dear.timed = 10
    dear.timedNanoseconds = 5_000_000
    let text = MetricsText.rules([dear, RuleCost(gid: 3, sid: 8, rev: 1, message: "cheap")])
    #expect(text.contains("# TYPE sluice_rule_checks_total counter\nsluice_rule_checks_total{gid=\"1\",sid=\"7\"} 1000\n"))
    #expect(text.contains("sluice_rule_matches_total{gid=\"1\",sid=\"7\"} 3\n"))
    #expect(text.contains("sluice_rule_seconds_total{gid=\"1\",sid=\"7\"} 0.5\n"))
    #expect(text.contains("sluice_rule_checks_total{gid=\"3\",sid=\"8\"} 0\n"))
    #expect(text.split(separator: "\n").count == 9)
  }
}
