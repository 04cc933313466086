import Traffic

/// Reads the requests of TFTP; the transfer itself goes on between other ports.
///
/// - Source: RFC 1350 section 5; RFC 2347 (options, which are passed over).
/// - Limits: ``textBytesMax`` octets of a name or mode.
public final class TFTPParser: AppLayerParser {
  public static let textBytesMax = 512
  private var nextID: UInt64 = 0

  public init() { super.init(appProtocol: .tftp) }

  override public func consume(_ chunk: borrowing StreamChunk) {
    guard let request = Self.request(chunk.bytes) else { return }
    let made = TFTPTransaction(request, id: nextID, direction: chunk.direction, start: chunk.time)
    nextID &+= 1
    transactions.append(made)
  }

  struct Request {
    var isWrite: Bool
    var file: [UInt8]
    var mode: [UInt8]
  }

  /// Nil for what is no request.
  private static func request(_ bytes: RawSpan) -> Request? {
    var reader = ByteReader(bytes)
    guard let opcode = reader.u16(), opcode == 1 || opcode == 2 else { return nil }
    let text = reader.rest().extracting(0..<min(reader.remaining, 2 * textBytesMax + 2)).copied()
    let parts = text.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, !parts[0].isEmpty, parts[0].count <= textBytesMax, parts[1].count <= textBytesMax else {
      return nil
    }
    return Request(isWrite: opcode == 2, file: Array(parts[0]), mode: parts[1].map(HTTPText.lower))
  }
}

/// A request to read or write a file.
public final class TFTPTransaction: Transaction {
  private let request: TFTPParser.Request
  public let direction: Direction

  init(_ request: TFTPParser.Request, id: UInt64, direction: Direction, start: Timestamp) {
    self.request = request
    self.direction = direction
    super.init(id: id, appProtocol: .tftp, progressComplete: 1, start: start)
    progress = (1, 1)
  }

  public var isWrite: Bool { request.isWrite }
  public var file: [UInt8] { request.file }
  /// "octet", "netascii" or "mail", whatever its case was.
  public var mode: [UInt8] { request.mode }

  override public var soleDirection: Direction? { direction }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard index == 0, direction == self.direction else { return nil }
    switch id {
    case .tftpFile: return BufferView(file)
    case .tftpMode: return BufferView(mode)
    default: return nil
    }
  }

  override public func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    id == .tftpOpcode && index == 0 && direction == self.direction ? (isWrite ? 2 : 1) : nil
  }
}

extension BufferTable {
  private typealias Source = BufferDeclaration.Source
  private static let transfers = [Source(.tftp, .toServer, progress: 1), Source(.tftp, .toClient, progress: 1)]

  static let tftp: [BufferDeclaration] = [
    .init(.tftpFile, ["tftp.file"], transfers, summary: "The file that a request names."),
    .init(.tftpMode, ["tftp.mode"], transfers, summary: "The mode of a transfer in lower case: octet, netascii, mail."),
  ]
}
