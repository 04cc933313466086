import Control

enum ControlTarget {
  static func run(_ bytes: [UInt8]) {
    let line = ControlCommand.line(of: bytes)
    if let command = ControlCommand(rawValue: line) { precondition(command.rawValue == line) }
    if let answer = ControlAnswer(lines: String(decoding: bytes, as: UTF8.self)) {
      precondition(ControlAnswer(lines: answer.lines)?.isDone == answer.isDone)
    }
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    ["reload\n", "stats\r\n", "shutdown\n", "ok\nflows 3\n", "error\nno\n"].enumerated()
      .map { ("request-\($0.offset)", Array($0.element.utf8)) }
  }
}
