import CSluiceLinux
import Glibc

/// What the daemon gives up before it meets traffic: capabilities, programs, writing elsewhere.
///
/// - Source: capabilities(7), prctl(2) PR_SET_NO_NEW_PRIVS, seccomp(2), landlock(7).
public enum Confinement {
  /// Netfilter, transparent and repaired sockets, neighbours; raw packets; low ports; threads on processors.
  static let capabilities: UInt64 = 1 << 12 | 1 << 13 | 1 << 10 | 1 << 23

  /// Call on the first thread, before there are others.
  /// - Returns: what could not be given up, in lines; usually none.
  public static func enter(_ settings: Settings) -> [String] {
    guard settings.control.isConfined else { return [] }
    var notes: [String] = []
    func note(_ result: Int32, _ what: String) {
      if result < 0 { notes.append("\(what): \(TextFile.lastError())") }
    }
    note(sluice_keep_capabilities(capabilities), "capabilities are not given up")
    note(sluice_no_new_privileges(), "no-new-privileges")
    let folders = writableFolders(settings)
    // Made later it could not be written to; the other folders are the operator's to make.
    unsafe mkdir(settings.outputs.directory, 0o755)
    // So is this one: it shall hold nothing else, since whoever may write there may replace what lies beside.
    if settings.wantsLearningKept, let file = settings.interception.learningFile { unsafe mkdir(folder(of: file), 0o700) }
    // SAFETY: the copies live through the call and are freed after it.
    var pointers = unsafe folders.map { unsafe UnsafePointer<CChar>(strdup($0)) }
    let result = unsafe sluice_write_only_below(&pointers, pointers.count)
    unsafe pointers.forEach { unsafe free(UnsafeMutableRawPointer(mutating: $0)) }
    note(result, "Landlock")
    note(sluice_filter_system_calls(), "seccomp")
    return notes
  }

  /// Descriptors as far as this process may have them: a TLS connection takes two, and shells give 1,024.
  public static func raiseDescriptorLimit() {
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard unsafe getrlimit(kind, &limit) == 0 else { return }
    // More than the kernel allows by default is meant for no one.
    let wanted = min(limit.rlim_max, 1_048_576)
    guard limit.rlim_cur < wanted else { return }
    limit.rlim_cur = wanted
    _ = unsafe setrlimit(kind, &limit)
  }

  /// Where the daemon writes: records, the control socket, compiled rules, the null device.
  private static func writableFolders(_ settings: Settings) -> [String] {
    var folders = [settings.outputs.directory, folder(of: settings.control.socket), "/dev/null"]
    if let cache = settings.rules.cacheDirectory { folders.append(cache) }
    // Where datasets are saved; nil is the working folder.
    folders.append(settings.rules.dataDirectory ?? ".")
    if let metrics = settings.control.metrics, metrics.hasPrefix("/") { folders.append(folder(of: metrics)) }
    if let store = settings.outputs.fileStore { folders.append(store.hasPrefix("/") ? store : settings.outputs.directory) }
    if let file = settings.interception.decrypted.file { folders.append(folder(of: file)) }
    if let socket = settings.interception.decrypted.socket { folders.append(folder(of: socket)) }
    if settings.wantsLearningKept, let file = settings.interception.learningFile { folders.append(folder(of: file)) }
    if settings.outputs.fileName.hasPrefix("/") { folders.append(folder(of: settings.outputs.fileName)) }
    return folders
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
