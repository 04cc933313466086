import Capture
import Glibc
import TestSupport
import Testing
import Traffic

@Suite struct PcapFileSourceTests {
  private let directory = TemporaryDirectory()
  private let whole = PcapWriter(packets: samplePackets()).bytes

  private func read(_ path: String) -> ReadResult {
    do throws(CaptureError) {
      return readAll(try PcapFileSource(path: path))
    } catch {
      return ReadResult(error: error)
    }
  }

  @Test(arguments: ["gzip -k", "zstd -q", "zstd -q --ultra -22 --long=27"])
  func compressedFilesAreRead(command: String) throws {
    let path = directory.write(PcapngWriter(packets: samplePackets()).bytes, as: "a.pcapng")
    try #require(run("\(command) \(path)") == 0)
    let compressed = path + (command.hasPrefix("gzip") ? ".gz" : ".zst")
    let result = read(compressed)
    #expect(result.built == samplePackets())
    #expect(result.error == nil)
  }

  @Test func severalGzipMembersAndZstdFramesAreOneFile() throws {
    let head = directory.write(Array(whole[..<70]), as: "head")
    let tail = directory.write(Array(whole[70...]), as: "tail")
    let path = directory.path
    try #require(run("cd \(path); (gzip <\(head); gzip <\(tail)) >a.pcap.gz") == 0)
    try #require(run("cd \(path); (zstd -q <\(head); zstd -q <\(tail)) >a.pcap.zst") == 0)
    #expect(read("\(path)/a.pcap.gz").built == samplePackets())
    #expect(read("\(path)/a.pcap.zst").built == samplePackets())
  }

  @Test(arguments: ["gzip -k", "zstd -q"])
  func compressedFilesThatEndEarlyGiveAWarning(command: String) throws {
    let many = PcapWriter(packets: (0..<2000).flatMap { _ in samplePackets() }).bytes
    let path = directory.write(many, as: "a.pcap")
    try #require(run("\(command) \(path)") == 0)
    let compressed = path + (command.hasPrefix("gzip") ? ".gz" : ".zst")
    try #require(run("truncate -s -20 \(compressed)") == 0)
    let result = read(compressed)
    #expect(result.error == nil)
    #expect(result.warnings.count == 1)
    #expect(result.packets.count < 12_000)
  }

  @Test(arguments: ["gzip -c", "zstd -qc"])
  func damagedCompressedFilesNeverTrapAndAlwaysEnd(command: String) throws {
    let path = directory.write(whole, as: "a.pcap")
    try #require(run("\(command) \(path) >\(path).x") == 0)
    let compressed = try #require(contents("\(path).x"))
    var mutator = Mutator(seed: 3)
    var damagedCount = 0
    mutator.forEachMutation(of: compressed, count: 1000) { bytes in
      let result = readAll(bytes)
      if result.error != nil { damagedCount += 1 }
      #expect(result.packets.count <= 100_000)
    }
    #expect(damagedCount > 100)
  }

  @Test func directoriesAreReadInOrderAndOnlyTheirCaptures() {
    directory.write(whole, as: "b/2.pcap")
    directory.write(whole, as: "b/10.pcapng.gz")  // a capture by name, plain inside
    directory.write(whole, as: "a/log.1700000000")  // a capture by its magic number
    directory.write(Array("notes".utf8), as: "a/README.txt")
    directory.write(whole, as: ".hidden/x.pcap")
    run("ln -s .. \(directory.path)/a/loop")
    let found = try? CaptureFiles.find(directory.path)
    #expect(
      found == ["a/log.1700000000", "b/10.pcapng.gz", "b/2.pcap"].map { "\(directory.path)/\($0)" })
    let result = read(directory.path)
    #expect(result.packets.count == 18)
    #expect(result.packets.map(\.number).max() == 6)
  }

  @Test func aDirectoryWithoutCapturesIsAnError() {
    #expect(read(directory.path).error?.what == "holds no capture files")
    #expect(
      read("/nonexistent/x.pcap").error?.description
        == "/nonexistent/x.pcap: can't be opened: No such file or directory")
  }

  @Test func afterADamagedFileTheNextOneFollows() throws {
    directory.write(Array("garbage".utf8), as: "1.pcap")
    directory.write(whole, as: "2.pcap")
    var source = try PcapFileSource(path: directory.path)
    var packets = 0
    #expect(throws: CaptureError.self) { _ = try source.next { _ in packets += 1 } }
    while try source.next({ _ in packets += 1 }) {}
    #expect(packets == 6)
    #expect(source.packetCount == 6)
    #expect(source.currentFile == "\(directory.path)/2.pcap")
    #expect(source.bytesRead == source.bytesTotal)
  }

  @Test func pipesAreReadAndHaveNoTotal() throws {
    let path = directory.write(whole, as: "a.pcap")
    let pipe = "\(directory.path)/pipe"
    try #require(run("mkfifo \(pipe) && (cat \(path) >\(pipe) &)") == 0)
    let source = try PcapFileSource(path: pipe)
    #expect(source.bytesTotal == nil)
    #expect(readAll(source).built == samplePackets())
  }

  @Test func largeFilesPassThroughTheWindowWhole() {
    let packets = (0..<4000).map { index in
      BuiltPacket(
        time: Timestamp(seconds: Int64(index)),
        bytes: Array(repeating: UInt8(truncatingIfNeeded: index), count: index % 1500))
    }
    let path = directory.write(PcapWriter(packets: packets).bytes, as: "large.pcap")
    let result = read(path)
    #expect(result.built == packets)
  }

  private func contents(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    let count = unsafe buffer.withUnsafeMutableBytes {
      unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
    }
    return count < 0 ? nil : Array(buffer[..<count])
  }
}
