import CSluiceLinux
import Glibc

/// The process that holds the authority's key, and the one that starts it again.
///
/// Both run as a user without rights, in a process group of their own, without network or files: what they have is the key's file, opened
/// before, and a socket for each worker. The outer one never has the key in its memory; it holds the sockets open, so that a
/// worker notices nothing of a restart but the time it takes.
public struct AuthorityKeeper {
  private let keyPath: String
  private let certificatePath: String
  private let user: String
  private let descriptors: [Int32]

  /// Ends within `quickSeconds` after which the next start waits.
  private static let quickSeconds = 10
  private static let delayMicroseconds: UInt32 = 1_000_000

  public init(keyPath: String, certificatePath: String, user: String, descriptors: [Int32]) {
    self.keyPath = keyPath
    self.certificatePath = certificatePath
    self.user = user
    self.descriptors = descriptors
  }

  /// Works until the daemon is gone; call it on the only thread.
  /// - Returns: the exit status.
  public func run() -> Int32 {
    do throws(AuthorityError) {
      let certificate = try CertificateAuthority.read(certificatePath, secret: false)
      let key = try openKey()
      for line in confine() { note(line) }
      return keep(key, certificate)
    } catch {
      refuse(error.description)
      return 3
    }
  }

  private func refuse(_ reason: String) {
    for descriptor in descriptors { LeafSigner.say(.unusable(reason), on: descriptor) }
  }

  private func note(_ line: String) {
    let bytes = Array("sluice: the process with the CA's key: \(line)\n".utf8)
    _ = unsafe write(2, bytes, bytes.count)
  }

  /// As the user of the key's process where it is theirs, else as who started this.
  private func openKey() throws(AuthorityError) -> Int32 {
    var result = Result { () throws(AuthorityError) in try CertificateAuthority.openSecret(keyPath) }
    let became = unsafe sluice_become_user(user)
    if became < 0 { throw .unreadable(path: keyPath, reason: "cannot become the user \(user): \(errorText(errno))") }
    if case .failure(.unreadable) = result { result = Result { () throws(AuthorityError) in try CertificateAuthority.openSecret(keyPath) } }
    return try result.get()
  }

  /// - Returns: what could not be given up.
  private func confine() -> [String] {
    var notes: [String] = []
    func attempt(_ result: Int32, _ what: String) { if result < 0 { notes.append("\(what): \(errorText(errno))") } }
    // A change of user takes it away, hence after that.
    attempt(sluice_end_with_parent(), "does not end with the daemon")
    attempt(sluice_hide_memory(), "memory is not hidden")
    attempt(sluice_keep_capabilities(0), "capabilities are not given up")
    attempt(sluice_no_new_privileges(), "no-new-privileges")
    attempt(sluice_allow_messages_only(1), "seccomp")
    return notes
  }

  private func keep(_ key: Int32, _ certificate: [UInt8]) -> Int32 {
    while true {
      let begun = time(nil)
      let child = sluice_fork()
      if child == 0 { hold(key, certificate) }
      guard child > 0 else {
        refuse("cannot be started: \(errorText(errno))")
        return 3
      }
      var status: Int32 = 0
      while unsafe waitpid(child, &status, 0) < 0, errno == EINTR {}
      // The daemon is gone, or the key can't be used.
      if status & 0x7f == 0, [0, 3].contains(status >> 8 & 0xff) { return status >> 8 & 0xff }
      let what = status & 0x7f != 0 ? "was ended by signal \(status & 0x7f)" : "ended with status \(status >> 8 & 0xff)"
      note("\(what); starting it again")
      if time(nil) - begun < Self.quickSeconds { usleep(Self.delayMicroseconds / 10) }
    }
  }

  /// The inner process.
  private func hold(_ descriptor: Int32, _ certificate: [UInt8]) -> Never {
    _ = sluice_end_with_parent()
    do throws(AuthorityError) {
      var key = try CertificateAuthority.readAll(descriptor, path: keyPath)
      close(descriptor)
      let signer = try LeafSigner(key: key, named: keyPath, certificate: certificate, named: certificatePath)
      wipe(&key)
      if sluice_allow_messages_only(0) < 0 { note("seccomp: \(errorText(errno))") }
      signer.serve(descriptors)
      _exit(0)
    } catch {
      refuse(error.description)
      _exit(3)
    }
  }

  private func wipe(_ bytes: inout [UInt8]) {
    for index in bytes.indices { bytes[index] = 0 }
  }
}
