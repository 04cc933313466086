import CSluiceLinux
import Engine
import Glibc
import Interception
import Synchronization

/// The control socket of a daemon: a unix socket with mode 0600, one request a connection.
public final class ControlServer: Sendable {
  private let path: String
  private let descriptor: Int32
  private let daemon: Daemon
  private let thread: Mutex<WorkerThread?>

  /// Longest request, and how long one may take.
  private static let requestBytesMax = 4096
  private static let timeoutSeconds = 5

  /// Listens at `path` and answers from a thread of its own.
  public init(path: String, daemon: Daemon) throws(ControlError) {
    self.path = path
    self.daemon = daemon
    let descriptor = unsafe sluice_unix_listen(path)
    guard descriptor >= 0 else {
      let text = errno == EADDRINUSE ? "another daemon listens there" : errorText(errno)
      throw ControlError(message: "control socket \(path): \(text)")
    }
    self.descriptor = descriptor
    thread = Mutex(nil)
    do throws(InterceptionError) {
      let started = try WorkerThread.start { [self] in serve() }
      thread.withLock { $0 = started }
    } catch {
      close(descriptor)
      throw ControlError(message: error.description)
    }
  }

  /// Ends the thread and removes the socket.
  public func stop() {
    shutdown(descriptor, Int32(SHUT_RDWR))
    thread.withLock { $0?.join() }
    close(descriptor)
    unsafe unlink(path)
  }

  private func serve() {
    while true {
      let peer = accept(descriptor, nil, nil)
      if peer < 0 {
        if errno == EINTR || errno == ECONNABORTED { continue }
        return
      }
      answer(peer)
      close(peer)
    }
  }

  private func answer(_ peer: Int32) {
    var timeout = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
    unsafe setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var request: [UInt8] = []
    while !request.contains(0x0a), request.count < Self.requestBytesMax {
      guard let piece = StreamSocket.read(from: peer), !piece.isEmpty else { break }
      request += piece
    }
    let answer = answer(to: ControlCommand.line(of: request))
    _ = StreamSocket.write(Array(answer.lines.utf8), to: peer)
  }

  private func answer(to line: String) -> ControlAnswer {
    let words = line.split(separator: " ").map(String.init)
    guard let command = words.first.flatMap(ControlCommand.init) else {
      let names = ControlCommand.allCases.map(\.rawValue).joined(separator: ", ")
      return ControlAnswer(isDone: false, text: "there is no command \(line.prefix(40)); there are \(names)")
    }
    switch command {
    case .reload:
      let result = daemon.reload()
      return ControlAnswer(isDone: result.isDone, text: result.message)
    case .stats:
      let lines = daemon.statistics().map { "\($0.name) \($0.value)" }
      return ControlAnswer(isDone: true, text: lines.joined(separator: "\n"))
    case .flows: return FlowAnswers.flows(daemon, Array(words.dropFirst()))
    case .explain: return FlowAnswers.explain(daemon, Array(words.dropFirst()))
    case .release: return FlowAnswers.release(daemon, Array(words.dropFirst()))
    case .recall: return FlowAnswers.recall(daemon, Array(words.dropFirst()))
    case .learned: return LearnedAnswers.list(daemon)
    case .approve: return LearnedAnswers.approve(daemon, Array(words.dropFirst()))
    case .forget: return LearnedAnswers.forget(daemon, Array(words.dropFirst()))
    case .metrics: return ControlAnswer(isDone: true, text: MetricsText.text(daemon))
    case .rules: return RuleAnswers.dearest(daemon, Array(words.dropFirst()))
    case .shutdown:
      daemon.requestStop()
      return ControlAnswer(isDone: true, text: "stopping")
    }
  }
}
