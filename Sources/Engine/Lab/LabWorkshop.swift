import CSluiceLinux
import Diversion
import Glibc

/// What every part of the lab uses: a folder that is gone at the end, programs that are run in namespaces, and
/// the time that one waits for things.
struct LabWorkshop {
  /// Holds everything that the lab writes.
  let folder: String
  let interruption: LabInterruption
  private let commands: SystemCommands

  init(interruption: LabInterruption) throws(LabError) {
    self.interruption = interruption
    commands = SystemCommands(timeoutSeconds: 60, isCancelled: { interruption.isPending })
    var template = Array("/tmp/sluice-lab-\(getpid()).XXXXXX".utf8CString)
    // SAFETY: the template ends in NUL and is as long as it says; mkdtemp writes over its six X only.
    guard unsafe mkdtemp(&template) != nil else { throw .environment("/tmp takes no folder") }
    folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  func path(_ name: String) -> String { folder + "/" + name }

  /// Removes the folder with all that is in it.
  func remove() { _ = try? SystemCommands().run(Command("rm", ["-rf", "--", folder])) }

  // MARK: Programs

  /// Runs a program, whatever its outcome.
  func run(_ command: Command) throws(LabError) -> CommandResult {
    if interruption.isPending { throw .interrupted }
    do throws(DiversionError) {
      return try commands.run(command)
    } catch {
      if interruption.isPending { throw .interrupted }
      throw .environment(error.description)
    }
  }

  /// Runs a program that has to succeed.
  @discardableResult
  func need(_ command: Command) throws(LabError) -> String {
    let result = try run(command)
    guard result.status == 0 else {
      let said =
        (result.errors + result.output).split(separator: "\n").last.map(String.init) ?? "it said nothing"
      throw .environment("\(command.text) ended with status \(result.status): \(said)")
    }
    return result.output
  }

  /// Starts a program that stays; what it says goes to a file of the folder.
  func start(_ command: Command, log: String) throws(LabError) -> ChildProcess {
    let output = unsafe open(path(log), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    let input = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer {
      close(output)
      close(input)
    }
    guard output >= 0, input >= 0 else { throw .environment("\(path(log)) cannot be written") }
    do throws(DiversionError) {
      return try ChildProcess(command, input: input, output: output, errors: output)
    } catch {
      throw .environment(error.description)
    }
  }

  /// Asks until the answer is yes, or the time is over.
  func wait(seconds: Int, until isThere: () throws(LabError) -> Bool) throws(LabError) -> Bool {
    for _ in 0..<(seconds * 10) {
      if try isThere() { return true }
      if interruption.isPending { throw .interrupted }
      usleep(100_000)
    }
    return try isThere()
  }

  // MARK: Files

  func write(_ text: String, to name: String) throws(LabError) {
    let bytes = Array(text.utf8)
    let descriptor = unsafe open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    defer { close(descriptor) }
    guard descriptor >= 0, unsafe Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
      throw .environment("\(path(name)) cannot be written")
    }
  }

  func makeFolder(_ name: String) throws(LabError) {
    guard unsafe mkdir(path(name), 0o755) == 0 else { throw .environment("\(path(name)) cannot be made") }
  }

  /// The text of a file; empty when it isn't there yet.
  func read(_ name: String) -> String { Self.text(of: path(name)) }

  static func text(of path: String) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }
}

extension ChildProcess {
  /// Asks it to end, and makes it end when it doesn't within two seconds.
  func end() {
    signal(SIGTERM)
    for _ in 0..<20 {
      if poll() != nil { return }
      usleep(100_000)
    }
    signal(SIGKILL)
    _ = wait()
  }
}
