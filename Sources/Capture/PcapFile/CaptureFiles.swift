import Glibc

/// Finds the capture files that a path stands for.
public enum CaptureFiles {
  /// Directories below directories; deeper ones are not entered.
  public static let depthMax = 32

  private static let extensions = ["pcap", "pcapng", "cap", "dmp", "ntar"]
  private static let compressedExtensions = ["gz", "zst"]

  /// A file stands for itself, whatever its name. A directory stands for the capture files in and
  /// below it, sorted by path: those with a capture file's extension (also before .gz, .zst) or,
  /// under other names, with the magic number of one. Hidden entries are left out.
  /// - Throws: when the path does not exist, can't be read, or a directory holds no capture.
  public static func find(_ path: String) throws(CaptureError) -> [String] {
    if path == "-" { return [path] }
    guard let mode = fileMode(path) else {
      throw CaptureError(path, .configuration, "can't be opened", systemError: errno)
    }
    guard mode & S_IFMT == S_IFDIR else { return [path] }
    var found: [String] = []
    try collect(path, depth: 0, into: &found)
    guard !found.isEmpty else {
      throw CaptureError(path, .configuration, "holds no capture files")
    }
    return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Octets on disk; nil when a size can't be told.
  static func totalSize(_ files: [String]) -> UInt64? {
    var total: UInt64 = 0
    for file in files {
      var status = stat()
      guard file != "-", unsafe stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
        return nil
      }
      total += UInt64(clamping: status.st_size)
    }
    return total
  }

  private static func fileMode(_ path: String) -> mode_t? {
    var status = stat()
    return unsafe stat(path, &status) == 0 ? status.st_mode : nil
  }

  private static func collect(
    _ directory: String, depth: Int, into found: inout [String]
  ) throws(CaptureError) {
    for name in try entries(directory) where !name.hasPrefix(".") {
      let path = directory.hasSuffix("/") ? directory + name : "\(directory)/\(name)"
      // Links to directories are not followed, so there are no loops.
      var status = stat()
      guard unsafe lstat(path, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        if depth < depthMax { try collect(path, depth: depth + 1, into: &found) }
      } else if let mode = fileMode(path), mode & S_IFMT == S_IFREG, isCapture(path, name) {
        found.append(path)
      }
    }
  }

  private static func entries(_ directory: String) throws(CaptureError) -> [String] {
    guard let stream = unsafe opendir(directory) else {
      throw CaptureError(directory, .configuration, "can't be read", systemError: errno)
    }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      // SAFETY: `d_name` is a terminated string that lives until the next readdir.
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
        unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) {
          unsafe String(cString: $0)
        }
      }
      names.append(name)
    }
    return names
  }

  private static func isCapture(_ path: String, _ name: String) -> Bool {
    var parts = name.lowercased().split(separator: ".").dropFirst()
    if let last = parts.last, compressedExtensions.contains(String(last)) {
      parts = parts.dropLast()
    }
    if let last = parts.last, extensions.contains(String(last)) { return true }
    return hasMagic(path)
  }

  private static func hasMagic(_ path: String) -> Bool {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var magic: UInt32 = 0
    guard unsafe read(descriptor, &magic, 4) == 4 else { return false }
    switch UInt32(bigEndian: magic) {
    case 0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34, 0xd4c3_b2a1, 0x4d3c_b2a1, 0x34cd_b2a1,
      PcapngBlocks.sectionHeader:
      return true
    default: return false
    }
  }
}
