import CSluiceLinux
import Glibc
import Interception
import Synchronization
import Testing

@testable import Control

/// The asking side against a daemon that is made of a socket and a few lines.
@Suite struct ControlClientTests {
  /// Listens, answers one request with `answer`, and gives back what was asked.
  private func exchange(
    _ command: ControlCommand, answer: String
  ) throws -> (asked: String, answer: Result<ControlAnswer, ControlError>) {
    let path = "/tmp/sluice-control-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
    let listener = unsafe sluice_unix_listen(path)
    try #require(listener >= 0)
    defer {
      close(listener)
      unsafe unlink(path)
    }
    let asked = Mutex("")
    // A thread: what blocks has no place among tasks, which share a few threads with all other tests.
    let daemon = try WorkerThread.start {
      let peer = accept(listener, nil, nil)
      defer { close(peer) }
      let request = StreamSocket.read(from: peer) ?? []
      asked.withLock { $0 = String(decoding: request, as: UTF8.self) }
      _ = StreamSocket.write(Array(answer.utf8), to: peer)
    }
    let result: Result<ControlAnswer, ControlError>
    do throws(ControlError) {
      result = .success(try ControlClient.ask(command, socket: path))
    } catch {
      result = .failure(error)
    }
    daemon.join()
    return (asked.withLock { $0 }, result)
  }

  @Test(arguments: ControlCommand.allCases)
  func `a command is one line, and what is answered comes back`(command: ControlCommand) throws {
    let (asked, answer) = try exchange(command, answer: "ok\nall\nof it\n")
    #expect(asked == command.rawValue + "\n")
    #expect(try answer.get().isDone)
    #expect(try answer.get().text == "all\nof it\n")
  }

  @Test func `a refusal comes back as one`() throws {
    let answer = try exchange(.reload, answer: "error\na.rules:1:2: wrong\n").answer
    #expect(try answer.get().isDone == false)
    #expect(try answer.get().text == "a.rules:1:2: wrong\n")
  }

  @Test func `a long answer comes back whole`() throws {
    let text = String(repeating: "a line of an answer\n", count: 50_000)
    let answer = try exchange(.stats, answer: "ok\n" + text).answer
    #expect(try answer.get().text == text)
  }

  @Test func `an end without an answer is an error`() throws {
    let answer = try exchange(.stats, answer: "").answer
    #expect(throws: ControlError.self) { try answer.get() }
  }

  @Test func `where nobody listens, that is said`() {
    do throws(ControlError) {
      _ = try ControlClient.ask(.stats, socket: "/tmp/sluice-nobody-\(getpid()).sock")
      Issue.record("somebody answered")
    } catch {
      #expect(error.message.contains("is the daemon running?"))
      #expect(error.message.hasPrefix("/tmp/sluice-nobody"))
    }
  }

  @Test func `a path that is too long for a socket is refused`() {
    #expect(throws: ControlError.self) {
      try ControlClient.ask(.stats, socket: "/" + String(repeating: "a", count: 200))
    }
  }

  @Test func `a socket left by a daemon that died is taken over, that of one alive is not`() {
    let path = "/tmp/sluice-left-\(getpid()).sock"
    let first = unsafe sluice_unix_listen(path)
    #expect(first >= 0)
    let second = unsafe sluice_unix_listen(path)
    #expect(second < 0 && errno == EADDRINUSE)
    close(first)
    let third = unsafe sluice_unix_listen(path)
    #expect(third >= 0)
    var status = stat()
    #expect(unsafe stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    close(third)
    unsafe unlink(path)
  }
}
