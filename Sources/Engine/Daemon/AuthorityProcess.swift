import CSluiceLinux
import Diversion
import Glibc
import Interception

/// The process that holds the authority's key, as the daemon starts it.
///
/// It is started before the daemon gives up its rights, from the same program; from then on the daemon can't start another.
/// - See: docs/decisions/processes.md.
public struct AuthorityProcess: Sendable {
  /// A socket for each worker of the TLS stage.
  let descriptors: [Int32]

  /// How long it may take to start; it reads two files.
  static let startMilliseconds: Int32 = 10_000

  /// - Returns: nil where no certificate is ever minted.
  public static func start(_ settings: Settings) throws(DaemonError) -> AuthorityProcess? {
    guard settings.interceptsOthers else { return nil }
    let stage = settings.interception
    var own: [Int32] = []
    var others: [Int32] = []
    defer { for descriptor in others { close(descriptor) } }
    for _ in 0..<stage.workerCount {
      var ends: [Int32] = [-1, -1]
      guard unsafe sluice_message_pair(&ends) == 0 else { throw .environment("socketpair: \(TextFile.lastError())") }
      own.append(ends[0])
      others.append(ends[1])
    }
    let nothing = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer { close(nothing) }
    let words =
      ["authority", "--key", stage.caKey, "--certificate", stage.caCertificate, "--user", stage.authorityUser]
      + others.map(String.init)
    do throws(DiversionError) {
      _ = try ChildProcess(Command("/proc/self/exe", words), input: nothing, output: 2, errors: 2)
    } catch {
      throw .environment(error.description)
    }
    return AuthorityProcess(descriptors: own)
  }

  /// Takes the key's file out of this process's sight. Call it before other threads are there.
  /// - Returns: why it can be read all the same; nil where it can't.
  public static func hideKey(_ settings: Settings) -> String? {
    guard settings.interceptsOthers, settings.control.isConfined else { return nil }
    let result = unsafe sluice_cover_file(settings.interception.caKey)
    return result == 0 ? nil : TextFile.lastError()
  }

  /// Whether this process could read the key. Call it once rights have been given up.
  public static func keyIsReadable(_ settings: Settings) -> Bool {
    guard settings.interceptsOthers, settings.control.isConfined else { return false }
    let file = unsafe open(settings.interception.caKey, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    var octet: UInt8 = 0
    return unsafe pread(file, &octet, 1, 0) == 1
  }
}
