import CSluiceLinux
import Glibc
import Traffic

/// Where learned bypasses outlive a restart: a line of text for each.
///
/// Whoever can write the file can have connections left alone, so it is read with distrust: it has to be an ordinary file
/// that nobody else may write, and lines that can't be entries are left out and counted.
/// - Limits: `linesMax` lines of `lineBytesMax` octets are read.
public struct LearnedBypassFile: Sendable {
  /// What reading came to.
  public struct Contents: Sendable {
    public var entries: [BypassEntry] = []
    public var badLines = 0
    /// The number of the first bad line, from 1.
    public var firstBadLine = 0
    /// Why nothing could be read though something is there.
    public var trouble: String?
  }

  public static let lineBytesMax = 1_024
  public let path: String
  let linesMax: Int

  private static let heading = "# learned bypasses of Sluice, version 1; `sluice policy learned` lists them"

  /// - Parameter entryCountMax: as of the table that is kept in it.
  public init(path: String, entryCountMax: Int) {
    self.path = path
    // Entries and those that await approval, and the heading.
    linesMax = entryCountMax &* 2 &+ 1
  }

  // MARK: Reading

  public func read() -> Contents {
    let (bytes, trouble) = octets()
    var contents = contents(of: bytes ?? [])
    contents.trouble = trouble
    return contents
  }

  /// What a file of these octets holds.
  public func contents(of bytes: [UInt8]) -> Contents {
    var contents = Contents()
    for (index, line) in bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
      if index == 0, line.elementsEqual(Self.heading.utf8) { continue }
      if line.isEmpty { continue }
      if index < linesMax, line.count <= Self.lineBytesMax, let entry = Self.entry(line) {
        contents.entries.append(entry)
      } else {
        contents.badLines += 1
        if contents.firstBadLine == 0 { contents.firstBadLine = index + 1 }
      }
    }
    return contents
  }

  /// At most as many as all lines could take.
  private func octets() -> (bytes: [UInt8]?, trouble: String?) {
    let file = unsafe open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard file >= 0 else { return (nil, errno == ENOENT ? nil : errorText(errno)) }
    defer { close(file) }
    var status = stat()
    guard unsafe fstat(file, &status) == 0 else { return (nil, errorText(errno)) }
    guard status.st_mode & S_IFMT == S_IFREG else { return (nil, "it is no file") }
    guard status.st_mode & 0o022 == 0, status.st_uid == geteuid() else { return (nil, "others could have written it") }
    let sizeMax = linesMax.multipliedReportingOverflow(by: Self.lineBytesMax + 1)
    guard !sizeMax.overflow, status.st_size <= sizeMax.partialValue else { return (nil, "it is too large") }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < bytes.count {
      // SAFETY: the kernel writes at most the room that is left.
      let got = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe Glibc.read(file, buffer.baseAddress.map { unsafe $0 + count }, buffer.count - count)
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { return (nil, errorText(errno)) }
      if got == 0 { break }
      count += got
    }
    bytes.removeSubrange(count...)
    return (bytes, nil)
  }

  /// Fields between tabs: state, end, last refusal, refusals, client, software, server, reason.
  static func entry(_ line: some Sequence<UInt8>) -> BypassEntry? {
    let octets = Array(line)
    guard octets.allSatisfy({ $0 == 9 || (0x20..<0x7f).contains($0) }) else { return nil }
    let fields = String(decoding: octets, as: UTF8.self).split(separator: "\t", omittingEmptySubsequences: false)
    guard fields.count == 8, let until = seconds(fields[1]), let last = seconds(fields[2]),
      let refusals = Int(fields[3]), (0...1_000_000).contains(refusals),
      let client = IPAddress(fields[4]), let shape = octetsOf(fields[5]), shape.count <= 32,
      (1...300).contains(fields[6].utf8.count), fields[7].utf8.count <= 200
    else { return nil }
    let state: BypassEntry.State
    switch fields[0] {
    case "active": state = .active(until: until)
    case "awaits-approval": state = .awaitingApproval
    default: return nil
    }
    return BypassEntry(
      key: BypassKey(client: client, server: String(fields[6]), clientShape: shape), state: state, refusals: refusals,
      lastRefusal: last, reason: String(fields[7]))
  }

  /// Seconds since 1970, up to the year 2096.
  private static func seconds(_ text: Substring) -> Timestamp? {
    guard let number = Int64(text), (0...4_000_000_000).contains(number) else { return nil }
    return Timestamp(seconds: number)
  }

  private static func octetsOf(_ text: Substring) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count % 2 == 0, digits.allSatisfy(Self.isHexadecimal) else { return nil }
    var octets: [UInt8] = []
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let octet = UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16) else { return nil }
      octets.append(octet)
    }
    return octets
  }

  /// The library takes signs too.
  private static func isHexadecimal(_ octet: UInt8) -> Bool {
    (0x30...0x39).contains(octet) || (0x41...0x46).contains(octet) || (0x61...0x66).contains(octet)
  }

  // MARK: Writing

  /// The octets of a file with these entries, those left out that only count.
  public static func text(of entries: [BypassEntry]) -> [UInt8] {
    var bytes = Array(heading.utf8) + [10]
    for line in entries.compactMap(Self.line) { bytes += line + [10] }
    return bytes
  }

  /// nil for an entry that is not kept: one that only counts, or what could not be read again.
  static func line(_ entry: BypassEntry) -> [UInt8]? {
    let (name, until): (String, Int64)
    switch entry.state {
    case .counting: return nil
    case .awaitingApproval: (name, until) = ("awaits-approval", 0)
    case .active(let end): (name, until) = ("active", end.seconds)
    }
    let fields = [
      name, String(until), String(entry.lastRefusal.seconds), String(entry.refusals), entry.key.client.description,
      hexadecimal(entry.key.clientShape), entry.key.server, entry.reason,
    ]
    let line = Array(fields.joined(separator: "\t").utf8)
    return Self.entry(line) == nil ? nil : line
  }

  /// Puts another file in the place of the one that is there, which is whole at every moment.
  /// - Returns: why it could not be done.
  public func write(_ entries: [BypassEntry]) -> String? {
    let bytes = Self.text(of: entries)
    let temporary = path + ".new"
    // What an earlier run left; nobody else can write here.
    unsafe unlink(temporary)
    let file = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard file >= 0 else { return errorText(errno) }
    var reason = CertificateAuthority.writeAll(bytes, to: file) && fsync(file) == 0 ? nil : errorText(errno)
    close(file)
    if reason == nil, unsafe rename(temporary, path) != 0 { reason = errorText(errno) }
    if reason != nil { unsafe unlink(temporary) }
    return reason
  }
}
