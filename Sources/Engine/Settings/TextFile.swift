import CSluiceLinux
import Glibc

/// Whole files, for configuration and rules; not for the data path.
public enum TextFile {
  /// Larger files are refused: nothing that is configured is that large.
  public static let bytesMax = 1 << 30

  /// The octets of a file, nil when it cannot be read (`lastError` says why).
  public static func read(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { return nil }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      errno = EISDIR
      return nil
    }
    guard status.st_size <= bytesMax else {
      errno = EFBIG
      return nil
    }
    // SAFETY: read(2) writes at most `room` octets behind `count`, where the array has them.
    // One more than there are, so that the end is met without growing.
    var bytes = [UInt8](repeating: 0, count: max(Int(status.st_size) + 1, 65_536))
    var count = 0
    while true {
      if count == bytes.count {
        guard bytes.count < bytesMax else {
          errno = EFBIG
          return nil
        }
        bytes.append(contentsOf: repeatElement(0, count: bytes.count))
      }
      let room = bytes.count - count
      let got = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe Glibc.read(descriptor, buffer.baseAddress.map { unsafe $0 + count }, room)
      }
      if got < 0 {
        if errno == EINTR { continue }
        return nil
      }
      if got == 0 { break }
      count += got
    }
    bytes.removeLast(bytes.count - count)
    return bytes
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
