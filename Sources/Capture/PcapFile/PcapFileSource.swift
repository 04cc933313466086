import Traffic

/// Packets of capture files, one file after the other.
///
/// Reads pcap (µs and ns, both byte orders) and pcapng, plain or compressed with gzip or zstd.
/// A file that ends in the middle of a record gives a warning and all packets before it.
/// - Limits: memory is bounded whatever a file claims: one window of 1 MiB, a packet of at most
///   256 KiB; at most `warningCountMax` warnings are kept.
public struct PcapFileSource: ~Copyable {
  private enum Format {
    case none
    case pcap(PcapRecords)
    case pcapng(PcapngBlocks)
  }

  /// Warnings kept; the rest are only counted.
  public static let warningCountMax = 1000

  /// The files in the order in which they are read.
  public let files: [String]
  /// What had to be worked around so far.
  public private(set) var warnings: [CaptureWarning] = []
  public private(set) var warningCount: UInt64 = 0
  /// Packets lent out so far, over all files.
  public private(set) var packetCount: UInt64 = 0
  /// Octets of all files together, as they lie on disk; nil where a pipe is among them.
  public let bytesTotal: UInt64?

  private var window = ByteWindow()
  private var format = Format.none
  private var input: CaptureFileInput?
  private var memory: [UInt8]?
  private var nextFile = 0
  private var numberInFile: UInt64 = 0
  private var bytesOfFinishedFiles: UInt64 = 0

  /// - Parameter path: a capture file, a directory of them (see `CaptureFiles`), or "-" for
  ///   standard input.
  public init(path: String) throws(CaptureError) {
    self.init(files: try CaptureFiles.find(path))
  }

  /// - Parameter files: capture files or "-", read in this order.
  public init(files: [String]) {
    self.files = files
    bytesTotal = CaptureFiles.totalSize(files)
  }

  /// A capture that is in memory already.
  /// - Parameter name: stands for the path in messages.
  public init(bytes: [UInt8], name: String) {
    files = [name]
    bytesTotal = UInt64(bytes.count)
    memory = bytes
  }

  /// The file that the last packet came from; nil before the first one.
  public var currentFile: String? { nextFile > 0 ? files[nextFile - 1] : nil }

  /// Octets read of `bytesTotal`, compressed where the file is.
  public var bytesRead: UInt64 { bytesOfFinishedFiles &+ (input?.bytesTaken ?? 0) }

  /// Lends the next packet to `body`.
  ///
  /// - Returns: false when all files are read to their end.
  /// - Throws: `CaptureError` when a file can't be opened or is damaged. That file is over; a
  ///   further call goes on with the next one, so the caller may choose to carry on.
  public mutating func next(
    _ body: (borrowing CapturedPacket) -> Void
  ) throws(CaptureError) -> Bool {
    while true {
      if input == nil, try !openNextFile() { return false }
      let outcome: RecordOutcome
      do throws(CaptureError) {
        outcome = try nextRecord(body)
      } catch {
        finishFile()
        throw error
      }
      switch outcome {
      case .packet:
        numberInFile &+= 1
        packetCount &+= 1
        return true
      case .end:
        if input?.isCutShort == true { warn("the compressed data ends in the middle") }
        finishFile()
      case .cutShort:
        warn("the file ends in the middle of packet \(numberInFile + 1); all before it are whole")
        finishFile()
      }
    }
  }

  @inline(__always)
  private mutating func nextRecord(
    _ body: (borrowing CapturedPacket) -> Void
  ) throws(CaptureError) -> RecordOutcome {
    let number = numberInFile &+ 1
    let name = currentName
    switch format {
    case .pcap(let records):
      return try records.next(from: &window, number: number, name: name, body)
    case .pcapng(var blocks):
      // Taken out while it changes, so that its arrays are not copied.
      format = .none
      defer { format = .pcapng(blocks) }
      return try blocks.next(from: &window, number: number, name: name, body)
    case .none:
      return .end
    }
  }

  private var currentName: String { input?.name ?? "" }

  private mutating func openNextFile() throws(CaptureError) -> Bool {
    guard nextFile < files.count else { return false }
    let path = files[nextFile]
    nextFile += 1
    numberInFile = 0
    let opened: CaptureFileInput
    if let bytes = memory {
      opened = try CaptureFileInput(bytes: bytes, name: path)
      memory = nil
    } else {
      opened = try CaptureFileInput(path: path)
    }
    input = opened
    window.attach(opened)
    do throws(CaptureError) {
      try detectFormat()
    } catch {
      finishFile()
      throw error
    }
    return true
  }

  private mutating func detectFormat() throws(CaptureError) {
    let hasMagic = try window.require(4)
    guard hasMagic else {
      let what = window.count == 0 ? "is empty" : "is too short for a capture file"
      throw CaptureError(currentName, .captureFile, what)
    }
    if window.bytes.u32(at: 0) == PcapngBlocks.sectionHeader {
      format = .pcapng(PcapngBlocks())
      return
    }
    // With the whole header when there is one.
    let isWhole = try window.require(PcapRecords.fileHeaderLength)
    guard let records = PcapRecords(magic: window.bytes) else {
      throw CaptureError(
        currentName, .captureFile,
        "is not a capture file: starts with \(hex(window.bytes)), expected pcap or pcapng magic")
    }
    guard isWhole else {
      throw CaptureError(currentName, .captureFile, "ends within the pcap file header")
    }
    window.advance(PcapRecords.fileHeaderLength)
    format = .pcap(records)
  }

  private func hex(_ bytes: borrowing RawSpan) -> String {
    (0..<min(4, bytes.byteCount)).map { i in
      let text = String(bytes.u8(at: i), radix: 16)
      return text.count == 1 ? "0" + text : text
    }.joined()
  }

  private mutating func warn(_ what: String) {
    warningCount += 1
    guard warnings.count < Self.warningCountMax else { return }
    warnings.append(CaptureWarning(source: currentName, offset: window.offset, what: what))
  }

  private mutating func finishFile() {
    bytesOfFinishedFiles += input?.bytesTaken ?? 0
    input = nil
    window.attach(nil)
    format = .none
  }
}
