import Diversion
import Glibc
import Interception

/// TLS, time, rules and limits.
extension Doctor {
  mutating func examineInterception() {
    if mode != .explicit {
      if let obstacle = RepairedConnection.obstacle() {
        wrong("connections cannot be taken over: \(obstacle)", mend: "run as root, on a kernel with CONFIG_CHECKPOINT_RESTORE")
      } else {
        good("kernel: connections can be taken over (TCP_REPAIR)")
      }
    }
    examineAuthority()
    for path in [TrustSettings().systemFile].compactMap({ $0 }) where unsafe access(path, R_OK) != 0 {
      wrong("no authorities of servers are known: \(path) is not there", mend: "apt-get install ca-certificates")
    }
    for path in settings.interception.extraTrust where unsafe access(path, R_OK) != 0 {
      wrong("\(path) (interception.extra-trust) cannot be read", mend: "put the certificate there, or take it out of the configuration")
    }
  }

  private mutating func examineAuthority() {
    let (key, certificate) = (settings.interception.caKey, settings.interception.caCertificate)
    let summary: CertificateAuthority.Summary
    do throws(AuthorityError) {
      summary = try CertificateAuthority.load(keyPath: key, certificatePath: certificate).summary
    } catch {
      switch error {
      case .missing: wrong("the CA: \(error.description)", mend: "sluice ca init\(option)")
      case .wrongMode(let path, _): wrong("the CA: others may read its key \(path)", mend: "chmod 600 \(path)")
      case .exists, .unreadable, .unwritable: wrong("the CA: \(error.description)", mend: "sudo sluice doctor\(option)")
      case .notAKey, .notACertificate, .notAnAuthority, .keyDoesNotMatch, .unusable, .library:
        wrong("the CA: \(error.description)", mend: renewal(key, certificate))
      }
      return
    }
    examineOwner(of: key)
    let days = (summary.notAfter.seconds &- now) / 86_400
    if summary.notBefore.seconds > now {
      wrong("the CA's certificate is not valid yet: this machine's clock is behind", mend: "timedatectl set-ntp true")
    } else if summary.notAfter.seconds < now {
      wrong("the CA's certificate is no longer valid", mend: renewal(key, certificate))
    } else if days < 60 {
      note("the CA's certificate is valid for \(days) days more; clients must trust the next one by then", mend: renewal(key, certificate))
    } else {
      good("the CA's key and certificate belong together, valid for \(days) days")
    }
    note("clients must trust the CA", mend: "sluice ca export\(option) > sluice-ca.pem, and put it into their stores")
  }

  /// The process that opens it has no right to read what is another's.
  private mutating func examineOwner(of key: String) {
    guard let owner = settings.interception.authorityOwner else { return }
    var status = stat()
    guard let entry = unsafe getpwnam(owner) else {
      return wrong("there is no user \(owner) (interception.authority-user)", mend: "useradd --system --no-create-home \(owner)")
    }
    guard unsafe stat(key, &status) == 0, status.st_uid != (unsafe entry.pointee.pw_uid) else { return }
    note("the CA's key \(key) is not \(owner)'s: the daemon itself could read it", mend: "chown \(owner): \(key)")
  }

  /// An authority is never overwritten.
  private func renewal(_ key: String, _ certificate: String) -> String {
    "mv \(key) \(key).old; mv \(certificate) \(certificate).old; sluice ca init\(option)"
  }

  /// Certificates are judged, and records dated, by this machine's clock.
  mutating func examineTime() {
    // Nothing that runs this is older than 2025.
    if now < 1_735_689_600 {
      return wrong("this machine's clock is years behind", mend: "timedatectl set-ntp true")
    }
    // Where systemd does not keep the time there is nobody to ask.
    let asked = try? commands.run(Command("timedatectl", ["show", "--property=NTPSynchronized", "--value"]))
    switch asked?.output.split(separator: "\n").first {
    case "no"?: note("this machine's clock is not kept right by anything", mend: "timedatectl set-ntp true")
    case "yes"?: good("this machine's clock is kept right")
    default: good("this machine's clock is not years behind")
    }
  }

  mutating func examineRules() {
    if settings.rules.files.isEmpty {
      wrong("no rules are set: everything passes", mend: "set rule-files in the configuration")
    } else {
      note("\(settings.rules.files.count) rule files are set", mend: "sluice check\(option) says which rules do not load")
    }
  }

  mutating func examineLimits() {
    var limit = rlimit()
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    // The daemon takes what it may have.
    if limit.rlim_max < 65_536, opensTLS {
      note("descriptors are limited to \(limit.rlim_max), two for each TLS connection", mend: "ulimit -n 1048576 (the unit does)")
    }
    let folder = settings.outputs.directory
    if unsafe access(folder, W_OK) != 0 {
      if errno != ENOENT {
        wrong("\(folder) cannot be written to", mend: "chmod u+w \(folder), or set default-log-dir")
      } else if unsafe access(Self.parent(of: folder), W_OK) != 0 {
        wrong("\(folder) is not there and cannot be made", mend: "mkdir -p \(folder)")
      }
    }
    examineSpace(folder)
  }

  private mutating func examineSpace(_ folder: String) {
    var space = statvfs()
    guard unsafe statvfs(folder, &space) == 0, space.f_blocks > 0 else { return }
    let free = UInt64(space.f_bavail).multipliedReportingOverflow(by: UInt64(space.f_frsize)).partialValue
    if space.f_bavail < space.f_blocks / 20, free < 10 << 30 {
      wrong(
        "less than a twentieth of the disk of \(folder) is free: records will be lost",
        mend: "logrotate, or rm of what is old in \(folder)")
    }
  }

  private static func parent(of folder: String) -> String {
    let trimmed = folder.last == "/" ? String(folder.dropLast()) : folder
    guard let slash = trimmed.lastIndex(of: "/") else { return "." }
    return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
  }
}
