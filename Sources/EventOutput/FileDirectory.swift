import Glibc
import Synchronization
import Traffic

/// A folder of files named by the SHA-256 of their content, below 256 folders named by its first octet.
///
/// What is not whole yet lies in `tmp`; a file that is there already is only touched, so that each
/// content is stored once.
/// - Source: Suricata 8, "File Extraction", file-store version 2.
/// - Limits: content of more than `openMax` files is written at a time; of those beyond nothing is stored.
public final class FileDirectory: FileOutput, Sendable {
  private let path: String
  private let last = Atomic<UInt64>(0)
  private let begun = Mutex(Set<UInt64>())
  private let failures = Atomic<UInt64>(0)

  public static let openMax = 10_000

  /// - Throws: where the folders cannot be made: the operator's to mend.
  public init(path: String) throws(LineOutputError) {
    self.path = path
    try Self.make(path)
    try Self.make(path + "/tmp")
    let digits = Array("0123456789abcdef".utf8)
    for number in 0..<256 {
      let name = String(decoding: [digits[number >> 4], digits[number & 15]], as: UTF8.self)
      try Self.make(path + "/" + name)
    }
  }

  /// Files that could not be written.
  public var failureCount: UInt64 { failures.load(ordering: .relaxed) }

  private static func make(_ path: String) throws(LineOutputError) {
    if unsafe mkdir(path, 0o750) != 0, errno != EEXIST { throw LineOutputError(path: path, code: errno) }
  }

  public func nextNumber() -> UInt64 { last.wrappingAdd(1, ordering: .relaxed).newValue }

  public func append(_ bytes: RawSpan, to number: UInt64) -> Bool {
    let isFirst = begun.withLock { begun -> Bool? in
      if begun.contains(number) { return false }
      guard begun.count < Self.openMax else { return nil }
      begun.insert(number)
      return true
    }
    guard let isFirst else { return fail(number) }
    let flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (isFirst ? O_TRUNC : O_APPEND)
    let descriptor = unsafe open(temporary(number), flags, 0o640)
    guard descriptor >= 0 else { return fail(number) }
    let output = FileLineOutput(descriptor: descriptor)
    output.write(bytes)
    close(descriptor)
    return output.failureCount == 0 ? true : fail(number)
  }

  private func fail(_ number: UInt64) -> Bool {
    failures.add(1, ordering: .relaxed)
    _ = begun.withLock { $0.remove(number) }
    _ = unsafe unlink(temporary(number))
    return false
  }

  public func finish(_ number: UInt64, as name: [UInt8]) -> Bool {
    guard begun.withLock({ $0.remove(number) }) != nil, let target = place(name) else { return fail(number) }
    if unsafe access(target, F_OK) == 0 {
      _ = unsafe utimes(target, nil)
      _ = unsafe unlink(temporary(number))
      return true
    }
    return unsafe rename(temporary(number), target) == 0 ? true : fail(number)
  }

  public func describe(_ name: [UInt8], _ suffix: [UInt8], record: RawSpan) {
    guard let target = place(name + suffix),
      let output = try? FileLineOutput(path: target, appends: false)
    else {
      failures.add(1, ordering: .relaxed)
      return
    }
    output.write(record)
  }

  private func temporary(_ number: UInt64) -> String { "\(path)/tmp/file.\(number)" }

  /// The name is made of a digest and digits here, never of what was transferred.
  private func place(_ name: [UInt8]) -> String? {
    guard name.count >= 64, !name.contains(UInt8(ascii: "/")) else { return nil }
    let text = String(decoding: name, as: UTF8.self)
    return "\(path)/\(text.prefix(2))/\(text)"
  }
}
