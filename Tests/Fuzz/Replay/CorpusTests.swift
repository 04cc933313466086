import FuzzEngineTargets
import FuzzTargets
import Glibc
import TestSupport
import Testing

/// What fuzzers begin with and what they have found, replayed: a trap here is a regression.
@Suite struct CorpusTests {
  @Test(arguments: FuzzTarget.all) func `the corpus holds`(target: FuzzTarget) {
    let files = Self.files(of: target)
    #expect(!files.isEmpty)
    for bytes in files { target.run(bytes) }
  }

  @Test(arguments: FuzzTarget.all) func `the seeds hold, and so do their beginnings`(target: FuzzTarget) {
    for (_, bytes) in target.seeds {
      target.run(bytes)
      for count in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 16)) { target.run(Array(bytes[..<count])) }
    }
  }

  /// The same damages each time, so that what fails here fails again.
  @Test(arguments: FuzzTarget.all) func `damaged inputs of the corpus hold`(target: FuzzTarget) {
    let files = Self.files(of: target)
    var mutator = Mutator(seed: 46)
    for bytes in files {
      mutator.forEachMutation(of: bytes, count: 60) { Self.run(target, $0) }
      if let other = files.randomElement(using: &mutator.generator) { Self.run(target, mutator.splice(bytes, other)) }
    }
  }

  /// A trap ends the program, so the input is written down before: `.build/fuzz-TARGET.last`.
  private static func run(_ target: FuzzTarget, _ bytes: [UInt8]) {
    if let file = unsafe fopen("\(root)/.build/fuzz-\(target.name).last", "w") {
      // SAFETY: the array's own octets, as many as it has.
      _ = unsafe fwrite(bytes, 1, bytes.count, file)
      unsafe fclose(file)
    }
    target.run(bytes)
  }

  /// The folder of the package, three above this file's.
  private static let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")

  private static func files(of target: FuzzTarget) -> [[UInt8]] {
    let path = "\(root)/Tests/Fuzz/Corpus/\(target.name)"
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
