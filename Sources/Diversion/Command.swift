/// A program to run, with its arguments one by one: there is no shell in between.
public struct Command: Sendable, Equatable {
  /// A name that is looked up in the system's folders, or a path.
  public let program: String
  public let arguments: [String]
  /// Comes to its standard input.
  public let input: String

  public init(_ program: String, _ arguments: [String] = [], input: String = "") {
    self.program = program
    self.arguments = arguments
    self.input = input
  }

  /// As one would type it.
  public var text: String { ([program] + arguments.map(Self.quoted)).joined(separator: " ") }

  private static func quoted(_ argument: String) -> String {
    let plain = argument.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        || "-_./:=,@%+".utf8.contains(byte)
    }
    return plain && !argument.isEmpty ? argument : "'" + argument + "'"
  }
}

/// How a program ended, and what it wrote.
public struct CommandResult: Sendable, Equatable {
  /// Its exit status, or 128 and the number of the signal that ended it.
  public let status: Int32
  public let output: String
  public let errors: String

  public init(status: Int32, output: String = "", errors: String = "") {
    self.status = status
    self.output = output
    self.errors = errors
  }
}

/// Runs programs. Tests put their own in its place.
public protocol CommandRunner {
  /// Runs a program to its end.
  /// - Throws: `DiversionError.programMissing`, or `.notStarted` when the kernel refused.
  func run(_ command: Command) throws(DiversionError) -> CommandResult
}

/// Why diversion could not be set up, looked at or taken away.
public enum DiversionError: Error, Equatable, CustomStringConvertible {
  /// The operator's settings can't be used as they are.
  case unusable(faults: [String])
  /// Something else on this machine uses what the settings name; each clash in one line.
  case clashes([String])
  /// A program is not installed.
  case programMissing(String)
  /// The kernel did not let a program start, or it did not end in time.
  case notStarted(program: String, reason: String)
  /// A program ended with an error; `message` is the first line it wrote about it.
  case failed(command: String, status: Int32, message: String)
  /// All commands went well, and yet these are not there.
  case incomplete([String])

  public var description: String {
    switch self {
    case .unusable(let faults): "diversion settings: " + faults.joined(separator: "; ")
    case .clashes(let clashes): "diversion clashes with what is there: " + clashes.joined(separator: "; ")
    case .programMissing(let program): "\(program) is not installed (packages iptables, iproute2, procps)"
    case .notStarted(let program, let reason): "\(program) was not run: \(reason)"
    case .failed(let command, let status, let message): "\(command) ended with status \(status): \(message)"
    case .incomplete(let missing): "set up, but missing afterwards: " + missing.joined(separator: "; ")
    }
  }
}
