import Traffic

/// A file that a transaction carries, as far as it has come.
///
/// Nothing is kept of its content but what rules or settings ask for: digests, the beginning for its
/// type, what waits to be stored.
/// - Source: Suricata 8, "File Extraction", "File Keywords".
/// - Limits: `FileSettings`.
public final class TransferFile {
  public enum State: Sendable, Equatable {
    /// More may follow.
    case open
    /// Seen to its end.
    case closed
    /// Cut short: by a gap, a limit or the end of the connection.
    case truncated
  }

  /// As the protocol names it.
  public internal(set) var name: [UInt8]
  public private(set) var direction: Direction
  public private(set) var sizeBytes: UInt64 = 0
  public private(set) var state = State.open
  /// Octets are missing somewhere within.
  public private(set) var hasGap = false
  /// First and last octet of the whole that this is a part of (`Content-Range`).
  public internal(set) var part: ClosedRange<UInt64>?
  /// What libmagic calls it; nil until enough of it is there, or where no rule needs it.
  ///
  /// Found out when first asked for: it takes longer than all else that is done with most files.
  public var magic: [UInt8]? {
    if isTypeTellable, !isTypeAsked {
      isTypeAsked = true
      knownMagic = examiner?.type(of: head)
      head = []
    }
    return knownMagic
  }
  /// The same where a rule has asked for it, or the operator wants it of every file.
  public var magicForRecord: [UInt8]? {
    examiner?.settings.forced.contains(.magic) == true ? magic : knownMagic
  }
  private var knownMagic: [UInt8]?
  /// There is enough of it.
  private var isTypeTellable = false
  private var isTypeAsked = false
  /// Digests are there once the file is over, where somebody asks for them.
  public private(set) var md5: [UInt8]?
  public private(set) var sha1: [UInt8]?
  public private(set) var sha256: [UInt8]?
  /// The content is to be stored.
  public private(set) var isWanted = false
  /// The rules that asked for it (EVE `fileinfo.sid`).
  public private(set) var sids: [UInt32] = []
  /// The number under which the store has the file (EVE `file_id`); 0 before.
  public var storeNumber: UInt64 = 0
  /// The store has all of it.
  public var isStored = false
  /// Its record has been written.
  public var isRecorded = false

  /// Its content, where that is not a whole body that the transaction keeps.
  var content: HTTPBody?
  private var examiner: FileExaminer?
  private var needs: FileNeeds
  private var running: (md5: RunningDigest?, sha1: RunningDigest?, sha256: RunningDigest?) = (nil, nil, nil)
  private var head: [UInt8] = []
  private var waiting: [UInt8] = []
  private var keepsContent: Bool
  /// Some of the content is gone: it cannot be stored any more.
  private var isForgotten = false

  init(name: [UInt8], direction: Direction, examiner: FileExaminer?) {
    self.name = name
    self.direction = direction
    self.examiner = examiner
    needs = examiner?.needs ?? []
    keepsContent = !needs.isDisjoint(with: [.store, .storeAll])
    begin()
  }

  /// Becomes another file, as one that was just made but for the room that its lists have.
  func renew(name: [UInt8], direction: Direction, examiner: FileExaminer?) {
    self.name = name
    self.direction = direction
    self.examiner = examiner
    needs = examiner?.needs ?? []
    keepsContent = !needs.isDisjoint(with: [.store, .storeAll])
    (sizeBytes, state, hasGap, part) = (0, .open, false, nil)
    (knownMagic, isTypeTellable, isTypeAsked) = (nil, false, false)
    (md5, sha1, sha256) = (nil, nil, nil)
    sids.clear()
    (storeNumber, isStored, isRecorded, isForgotten) = (0, false, false, false)
    content = nil
    head.clear()
    waiting.clear()
    begin()
  }

  private func begin() {
    running = (
      needs.contains(.md5) ? RunningDigest(.md5) : nil, needs.contains(.sha1) ? RunningDigest(.sha1) : nil,
      needs.contains(.sha256) ? RunningDigest(.sha256) : nil
    )
    isWanted = needs.contains(.storeAll)
    examiner?.counters.files &+= 1
  }

  /// The room that it takes is that of a small file.
  var isSmall: Bool { head.capacity <= Self.roomBytesMax && waiting.capacity <= Self.roomBytesMax }

  private static let roomBytesMax = 8192

  // MARK: Content

  func append(_ bytes: RawSpan) {
    guard state == .open, bytes.byteCount > 0 else { return }
    sizeBytes &+= UInt64(bytes.byteCount)
    guard !needs.isEmpty else { return }
    running.md5?.update(bytes)
    running.sha1?.update(bytes)
    running.sha256?.update(bytes)
    if needs.contains(.magic), !isTypeTellable { appendHead(bytes) }
    guard keepsContent else { return }
    waiting.append(bytes)
    if !isWanted, waiting.count > examiner?.settings.undecidedBytesMax ?? 0 {
      examiner?.counters.forgotten &+= 1
      forgetContent()
    }
  }

  private func appendHead(_ bytes: RawSpan) {
    guard let settings = examiner?.settings else { return }
    let room = max(0, settings.magicBytesMax - head.count)
    head.append(bytes.extracting(0..<min(room, bytes.byteCount)))
    isTypeTellable = head.count >= settings.magicBytesMin
  }

  /// Octets were lost on the way.
  func appendGap(_ count: UInt64) {
    guard state == .open else { return }
    hasGap = true
    sizeBytes &+= count
  }

  /// Octets that belong to the file by its size alone.
  func addTrailing(_ count: Int) { sizeBytes &+= UInt64(count) }

  /// Nothing more comes.
  ///
  /// - Parameter isCut: there was more of it.
  func close(isCut: Bool = false) {
    guard state == .open else { return }
    state = isCut || hasGap ? .truncated : .closed
    if needs.isEmpty { return }
    md5 = running.md5?.finish()
    sha1 = running.sha1?.finish()
    sha256 = running.sha256?.finish()
    running = (nil, nil, nil)
    if needs.contains(.magic), !head.isEmpty { isTypeTellable = true }
  }

  // MARK: Storing

  /// Rules whose numbers a file keeps.
  private static let sidsMax = 32

  /// Notes that a rule asks for it.
  public func note(sid: UInt32) {
    if sids.count < Self.sidsMax, !sids.contains(sid) { sids.append(sid) }
  }

  /// Asks for the file to be stored, as far as nothing of it is gone yet.
  public func want() {
    if keepsContent, !isForgotten { isWanted = true }
  }

  /// There is something for the store to do.
  public var hasNewsForStore: Bool {
    isWanted && !isForgotten && (!waiting.isEmpty || state != .open && !isStored)
  }

  /// What the store has not had yet.
  public func takeWaiting() -> [UInt8] {
    defer { waiting.removeAll(keepingCapacity: state == .open) }
    return waiting
  }

  /// Nobody will ask for the content any more.
  public func forgetContent() {
    waiting = []
    keepsContent = false
    isForgotten = true
  }
}
