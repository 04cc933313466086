import FuzzTargets
import Glibc
import Testing

/// What fuzzers begin with and what they have found, replayed: a trap here is a regression.
@Suite struct CorpusTests {
  @Test(arguments: FuzzTarget.allCases) func `the corpus holds`(target: FuzzTarget) {
    let files = Self.files(of: target)
    #expect(!files.isEmpty)
    for bytes in files { target.run(bytes) }
  }

  @Test(arguments: FuzzTarget.allCases) func `the seeds hold, and so do their beginnings`(target: FuzzTarget) {
    for (_, bytes) in target.seeds {
      target.run(bytes)
      for count in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 16)) { target.run(Array(bytes[..<count])) }
    }
  }

  private static func files(of target: FuzzTarget) -> [[UInt8]] {
    // Beside this file's folder.
    let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    let path = "/\(folder)/Corpus/\(target.rawValue)"
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name.0) { unsafe String(cString: $0) }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted().compactMap { read("\(path)/\($0)") }
  }

  private static func read(_ path: String) -> [UInt8]? {
    guard let file = unsafe fopen(path, "r") else { return nil }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while case let count = unsafe fread(&piece, 1, piece.count, file), count > 0 { bytes += piece[..<count] }
    return bytes
  }
}
