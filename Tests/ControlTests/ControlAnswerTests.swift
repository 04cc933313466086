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
}
