import CSluiceLinux
import Glibc
import Synchronization

/// Whole files, for configuration and rules; not for the data path.
public enum TextFile {
  /// Larger files are refused: nothing that is configured is that large.
  public static let bytesMax = 1 << 30

  /// The octets of a file, nil when it cannot be read (`lastError` says why).
  public static func read(_ path: String) -> [UInt8]? {
    guard let file = TextFileReader(path) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(file.size)
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while let count = file.read(into: &piece) {
      if count == 0 { return bytes }
      bytes += piece[..<count]
    }
    return nil
  }

  /// What errno says, in words.
  public static func lastError(_ code: Int32 = errno) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
  }

  /// The path of a file in a directory, which is made where it is missing.
  public static func path(_ name: String, in directory: String) throws(SettingsError) -> String {
    if name.hasPrefix("/") { return name }
    if unsafe mkdir(directory, 0o755) != 0, errno != EEXIST {
      throw SettingsError("\(directory): cannot be made: \(lastError())")
    }
    return directory + "/" + name
  }
}

/// A file that is read piece by piece.
final class TextFileReader: Sendable {
  let path: String
  /// Octets that the file said it has.
  let size: Int
  private let descriptor: Int32
  private let taken = Atomic<Int>(0)

  /// nil where it cannot be opened, is a directory or too large (`TextFile.lastError` says why).
  init?(_ path: String) {
    let opened = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    var status = stat()
    guard unsafe fstat(opened, &status) == 0 else {
      close(opened)
      return nil
    }
    // From here on there is an object, which closes it.
    self.path = path
    descriptor = opened
    size = Int(status.st_size)
    guard status.st_mode & S_IFMT != S_IFDIR else {
      errno = EISDIR
      return nil
    }
    guard size <= TextFile.bytesMax else {
      errno = EFBIG
      return nil
    }
  }

  deinit {
    let code = errno
    close(descriptor)
    errno = code
  }

  /// - Returns: the octets that were put into the array's front; 0 at the end, nil where it cannot be read.
  func read(into piece: inout [UInt8]) -> Int? {
    while true {
      // SAFETY: read(2) writes at most as many octets as the array has.
      let count = unsafe piece.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return nil }
      guard taken.wrappingAdd(count, ordering: .relaxed).newValue <= TextFile.bytesMax else {
        errno = EFBIG
        return nil
      }
      return count
    }
  }
}
