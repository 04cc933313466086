import Glibc

/// A folder that is gone with the last reference.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    var template = Array("/tmp/sluice-tests.XXXXXX".utf8CString)
    // SAFETY: the template ends in NUL; mkdtemp writes over its six X only.
    guard unsafe mkdtemp(&template) != nil else { throw TemporaryError() }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { empty(path) }

  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = path + "/" + name
    let descriptor = unsafe open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    guard descriptor >= 0, unsafe write(descriptor, bytes, bytes.count) == bytes.count else { throw TemporaryError() }
    return file
  }

  private func empty(_ path: String) {
    guard let folder = unsafe opendir(path) else { return }
    while let entry = unsafe readdir(folder) {
      // SAFETY: readdir's entry is valid until the next call; its name ends in NUL.
      let name = unsafe withUnsafePointer(to: entry.pointee.d_name) {
        unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
      }
      guard name != ".", name != ".." else { continue }
      let full = path + "/" + name
      if unsafe unlink(full) != 0 { empty(full) }
    }
    unsafe closedir(folder)
    unsafe rmdir(path)
  }
}

struct TemporaryError: Error {}

/// One file in a folder of its own.
struct TemporaryFile {
  private let folder: TemporaryFolder
  let path: String

  init(_ bytes: [UInt8], named name: String) throws {
    folder = try TemporaryFolder()
    path = try folder.file(name, bytes)
  }
}
