import CSluiceLinux
import Glibc

@testable import Diversion

/// A network of one's own: a thread with its own, empty namespace, loopback up. It is gone, with its rules and
/// routes, when the thread ends.
enum NetworkNamespace {
  /// Whether this process may make namespaces, and there are the programs to look into them.
  static let isAvailable: Bool =
    geteuid() == 0
    && (try? inside { ["iptables-save", "ip6tables-save"].map { Kernel.run($0) } }) != nil

  enum Failure: Error { case noThread, noNamespace, noOutcome }

  private final class Job<Value> {
    let body: () throws -> Value
    var outcome: Result<Value, any Error> = .failure(Failure.noOutcome)
    init(_ body: @escaping () throws -> Value) { self.body = body }

    func perform() {
      guard sluice_enter_new_network_namespace() == 0 else {
        outcome = .failure(Failure.noNamespace)
        return
      }
      outcome = Result {
        _ = try SystemCommands().run(Command("ip", ["link", "set", "lo", "up"]))
        return try body()
      }
    }
  }

  /// Runs `body` in a new namespace and waits for it. Expectations belong behind it: the thread is no test's.
  static func inside<Value>(_ body: @escaping () throws -> Value) throws -> Value {
    let job = Job(body)
    let step: () -> Void = { job.perform() }
    let box = unsafe Unmanaged.passRetained(step as AnyObject).toOpaque()
    var thread = pthread_t()
    let status = unsafe pthread_create(
      &thread, nil,
      { box in
        // SAFETY: balances passRetained above; this thread is the only one to take it.
        guard let box = unsafe box else { return nil }
        (unsafe Unmanaged<AnyObject>.fromOpaque(box).takeRetainedValue() as? () -> Void)?()
        return nil
      }, box)
    guard status == 0 else { throw Failure.noThread }
    pthread_join(thread, nil)
    return try job.outcome.get()
  }
}

/// Looks into the namespace of the calling thread.
enum Kernel {
  /// What the program wrote, or what it complained of.
  @discardableResult
  static func run(_ program: String, _ arguments: String...) -> String {
    guard let result = try? SystemCommands().run(Command(program, arguments)) else { return "not run" }
    return result.status == 0 ? result.output : "status \(result.status): \(result.errors)"
  }

  static func load(_ rules: String, _ program: String = "iptables-restore") -> String {
    guard let result = try? SystemCommands().run(Command(program, ["--noflush"], input: rules)) else {
      return "not run"
    }
    return result.errors
  }

  /// Everything that diversion may change, without the times at which it was printed.
  static var state: String {
    let saved = [run("iptables-save"), run("ip6tables-save"), run("nft", "list", "tables")].joined()
      .split(separator: "\n").filter { !$0.hasPrefix("#") }.joined(separator: "\n")
    let routes = [
      run("ip", "-4", "rule"), run("ip", "-6", "rule"), run("ip", "-4", "route", "show", "table", "all"),
      run("ip", "-6", "route", "show", "table", "all"),
    ]
    return ([saved] + routes + [run("sysctl", "-n", "net.ipv4.tcp_max_tw_buckets"), timeout])
      .joined(separator: "\n")
  }

  static var timeout: String { run("sysctl", "-n", "net.netfilter.nf_conntrack_tcp_timeout_syn_sent") }
}
