import CSluiceLinux
import Glibc

/// Runs programs of the system, in the network namespace of the calling thread.
///
/// - Limits: output beyond `outputBytesMax` ends the program, as does `timeoutSeconds` without an end; both are
///   `DiversionError.notStarted`, since nobody knows then what it did.
public struct SystemCommands: CommandRunner, Sendable {
  public var timeoutSeconds: Int
  public var outputBytesMax: Int
  /// Asked about once a second; yes ends the program, and the run with the same error.
  public var isCancelled: @Sendable () -> Bool

  public init(
    timeoutSeconds: Int = 60, outputBytesMax: Int = 16 << 20,
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) {
    self.timeoutSeconds = timeoutSeconds
    self.outputBytesMax = outputBytesMax
    self.isCancelled = isCancelled
  }

  public func run(_ command: Command) throws(DiversionError) -> CommandResult {
    var pipes = try Pipes(for: command)
    let child: ChildProcess
    do {
      child = try ChildProcess(
        command, input: pipes.input.read, output: pipes.output.write, errors: pipes.errors.write)
    } catch {
      pipes.close()
      throw error
    }
    pipes.closeChildEnds()
    let written = pipes.exchange(Array(command.input.utf8), self)
    pipes.close()
    guard let (output, errors) = written else {
      child.signal(SIGKILL)
      _ = child.wait()
      let reason = isCancelled() ? "cancelled" : "it did not end within \(timeoutSeconds) s, or said too much"
      throw .notStarted(program: command.program, reason: reason)
    }
    return CommandResult(
      status: child.wait(), output: String(decoding: output, as: UTF8.self),
      errors: String(decoding: errors, as: UTF8.self))
  }
}

/// A program that was started and not yet waited for.
public struct ChildProcess: Sendable {
  public let processID: pid_t

  /// Folders that are searched, whatever the caller's PATH says.
  private static let folders = [
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
  ]

  /// Starts a program, in a process group of its own so that Ctrl-C reaches the caller alone.
  /// - Parameter input: its standard input; the descriptors stay the caller's.
  public init(_ command: Command, input: Int32, output: Int32, errors: Int32) throws(DiversionError) {
    guard let path = Self.path(of: command.program) else { throw .programMissing(command.program) }
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
    unsafe posix_spawn_file_actions_adddup2(&actions, errors, 2)
    Self.detach(&attributes)

    // SAFETY: both arrays end in nil, hold copies that live until posix_spawn returns, and are freed after it.
    var arguments = unsafe Self.copies([path] + command.arguments)
    var environment = unsafe Self.copies(["PATH=" + Self.folders.joined(separator: ":"), "LC_ALL=C", "SWIFT_BACKTRACE=enable=no"])
    defer {
      unsafe arguments.forEach { unsafe free($0) }
      unsafe environment.forEach { unsafe free($0) }
    }
    var started: pid_t = 0
    let status = unsafe posix_spawn(&started, path, &actions, &attributes, &arguments, &environment)
    guard status == 0 else {
      throw .notStarted(program: command.program, reason: unsafe String(cString: strerror(status)))
    }
    processID = started
  }

  private static func copies(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
    var copies: [UnsafeMutablePointer<CChar>?] = unsafe []
    for text in texts { unsafe copies.append(strdup(text)) }
    unsafe copies.append(nil)
    return unsafe copies
  }

  public func signal(_ number: Int32) { kill(processID, number) }

  /// Waits for its end.
  /// - Returns: the exit status, or 128 and the number of the signal that ended it.
  public func wait() -> Int32 {
    var status: Int32 = 0
    while unsafe waitpid(processID, &status, 0) < 0 {
      guard errno == EINTR else { return 127 }
    }
    return Self.exitStatus(status)
  }

  /// Its exit status when it has ended, nil while it runs.
  public func poll() -> Int32? {
    var status: Int32 = 0
    let ended = unsafe waitpid(processID, &status, WNOHANG)
    if ended == 0 { return nil }
    return ended < 0 ? 127 : Self.exitStatus(status)
  }

  /// wait(2): the low seven bits are the signal, the next octet the exit status.
  private static func exitStatus(_ status: Int32) -> Int32 {
    let signal = status & 0x7f
    return signal == 0 ? (status >> 8) & 0xff : 128 + signal
  }

  private static func path(of program: String) -> String? {
    if program.utf8.contains(UInt8(ascii: "/")) { return program }
    return folders.lazy.map { $0 + "/" + program }.first { unsafe access($0, X_OK) == 0 }
  }

  /// A group of its own, no blocked signals, and SIGPIPE and SIGINT as programs expect them.
  private static func detach(_ attributes: inout posix_spawnattr_t) {
    var none = sigset_t()
    unsafe sigemptyset(&none)
    var usual = sigset_t()
    unsafe sigemptyset(&usual)
    for number in [SIGPIPE, SIGINT, SIGTERM, SIGCHLD] { unsafe sigaddset(&usual, number) }
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &usual)
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    unsafe posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
  }
}

/// The three connections between a program and the one who runs it; -1 is closed.
private struct Pipes {
  struct Ends {
    var read: Int32 = -1
    var write: Int32 = -1
  }
  var input = Ends()
  var output = Ends()
  var errors = Ends()

  init(for command: Command) throws(DiversionError) {
    input = Self.pair()
    output = Self.pair()
    errors = Self.pair()
    guard input.read >= 0, output.read >= 0, errors.read >= 0 else {
      let reason = unsafe String(cString: strerror(errno))
      close()
      throw .notStarted(program: command.program, reason: reason)
    }
  }

  /// A socket pair and no pipe, because a socket can be told not to raise SIGPIPE.
  private static func pair() -> Ends {
    var descriptors: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard unsafe socketpair(AF_UNIX, kind, 0, &descriptors) == 0 else { return Ends() }
    return Ends(read: descriptors[0], write: descriptors[1])
  }

  mutating func closeChildEnds() {
    Self.close(&input.read)
    Self.close(&output.write)
    Self.close(&errors.write)
  }

  mutating func close() {
    closeChildEnds()
    Self.close(&input.write)
    Self.close(&output.read)
    Self.close(&errors.read)
  }

  private static func close(_ descriptor: inout Int32) {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Writes the input and reads both outputs until the program closes them.
  /// - Returns: nil when that took too long or became too much.
  mutating func exchange(
    _ text: [UInt8], _ limits: SystemCommands
  ) -> (output: [UInt8], errors: [UInt8])? {
    var sent = 0
    var outputs: [[UInt8]] = [[], []]
    let deadline = Self.now() + limits.timeoutSeconds
    _ = fcntl(input.write, F_SETFL, O_NONBLOCK)
    while output.read >= 0 || errors.read >= 0 {
      if sent == text.count { Self.close(&input.write) }
      var waiting = [
        pollfd(fd: output.read, events: Int16(POLLIN), revents: 0),
        pollfd(fd: errors.read, events: Int16(POLLIN), revents: 0),
        pollfd(fd: input.write, events: Int16(POLLOUT), revents: 0),
      ]
      let left = deadline - Self.now()
      guard left > 0, !limits.isCancelled() else { return nil }
      guard outputs[0].count + outputs[1].count <= limits.outputBytesMax else { return nil }
      guard unsafe poll(&waiting, 3, Int32(min(left, 1_000) * 1_000)) >= 0 || errno == EINTR else {
        return nil
      }
      if waiting[0].revents != 0 { Self.read(&output.read, into: &outputs[0]) }
      if waiting[1].revents != 0 { Self.read(&errors.read, into: &outputs[1]) }
      if waiting[2].revents != 0 { send(text, &sent) }
    }
    return (outputs[0], outputs[1])
  }

  /// A program that doesn't want its input closes it; that is no error.
  private mutating func send(_ text: [UInt8], _ sent: inout Int) {
    let flags = Int32(MSG_NOSIGNAL)
    let count = unsafe text.withUnsafeBufferPointer { bytes in
      // SAFETY: `sent` is below the count, else the descriptor were closed.
      unsafe bytes.baseAddress.map { unsafe Glibc.send(input.write, $0 + sent, bytes.count - sent, flags) }
        ?? 0
    }
    if count > 0 {
      sent += count
    } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
      sent = text.count
    }
  }

  private static func read(_ descriptor: inout Int32, into bytes: inout [UInt8]) {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
    if count > 0 {
      bytes += chunk[..<count]
    } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
      close(&descriptor)
    }
  }

  private static func now() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec
  }
}
