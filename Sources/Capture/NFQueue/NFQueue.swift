import CSluiceLinux
import Glibc
import Traffic

/// One netfilter queue: takes packets from the kernel and gives verdicts back.
///
/// A worker owns its queue; nothing here is shared between threads. A packet without a verdict
/// stays in the kernel until the queue is closed, which drops it.
/// - Source: linux/netfilter/nfnetlink_queue.h, spoken over a raw netlink socket.
/// - Limits: `NFQueueOptions`; memory is `batchSize` buffers of 68 KiB and one of 256 KiB.
public struct NFQueue: ~Copyable {
  /// What happened to this queue since it was opened.
  public struct Counters: Sendable, Hashable {
    public var packetCount: UInt64 = 0
    public var octetCount: UInt64 = 0
    /// Packets that the kernel could not hand over in whole.
    public var cutPacketCount: UInt64 = 0
    public var receiveCount: UInt64 = 0
    /// The kernel had packets for us and no room in the socket.
    public var overrunCount: UInt64 = 0
    /// Messages that are none of a packet.
    public var malformedCount: UInt64 = 0
    /// Verdicts that the kernel did not take, mostly for packets it no longer holds.
    public var refusedVerdictCount: UInt64 = 0
    public var sendCount: UInt64 = 0
    public var sendErrorCount: UInt64 = 0

    public init() {}
  }

  public let number: UInt16
  /// Settings that the kernel refused and that the queue runs without.
  public private(set) var refusals: [String] = []

  private let socket: NetfilterSocket
  private var received = Counters()
  private var verdicts: VerdictBatch
  private let batchSize: Int
  /// As the socket knows it.
  private var waitMilliseconds: Int32 = 0
  private var buffers: [UInt8]
  private var lengths: [UInt32]
  /// The packets of the current batch; their payloads lie in `buffers`.
  private var messages: [QueueMessage] = []
  /// Packets that came while the queue was being set up.
  private var early: [[UInt8]] = []

  /// A packet and its attributes; the kernel's own take a few hundred octets.
  private static let strideBytes = 68 * 1024

  /// Binds the queue `number` and asks for its packets.
  /// - Throws: `CaptureError` with what to do: not permitted, no such kernel module, or in use.
  public init(number: UInt16, options: NFQueueOptions = NFQueueOptions()) throws(CaptureError) {
    let socket = try NetfilterSocket("queue \(number)")
    var setup = QueueSetup(descriptor: socket.descriptor, number: number)
    try setup.run(options)
    self.number = number
    batchSize = max(1, min(options.batchSize, Int(SLUICE_RECEIVE_BATCH_MAX)))
    buffers = Array(repeating: 0, count: batchSize * Self.strideBytes)
    lengths = Array(repeating: 0, count: batchSize)
    verdicts = VerdictBatch(descriptor: socket.descriptor, queueNumber: number)
    refusals = setup.refusals
    early = setup.early
    self.socket = socket
  }

  /// Readable when packets wait; for epoll.
  public var fileDescriptor: Int32 { socket.descriptor }

  /// Whether this process may bind queues here; the error says why not.
  public static func checkAvailability() throws(CaptureError) {
    let socket = try NetfilterSocket("NFQUEUE")
    // Unbinding what was never bound changes nothing, but asks for the same right and module.
    let setup = QueueSetup(descriptor: socket.descriptor, number: UInt16.max)
    try setup.probe()
  }

  public static func isAvailable() -> Bool {
    do throws(CaptureError) {
      try checkAvailability()
      return true
    } catch {
      return false
    }
  }

  public var counters: Counters {
    var all = received
    all.sendCount = verdicts.sendCount
    all.sendErrorCount = verdicts.sendErrorCount
    return all
  }

  /// Waits for packets, lends each of a batch to `body`, and sends the verdicts added to its
  /// second argument. A verdict may also be given later, by `verdict(packetID:_:mark:)`.
  ///
  /// - Parameter timeoutMilliseconds: 0 does not wait, a negative one waits for ever.
  /// - Returns: how many packets there were, 0 when the time passed.
  /// - Throws: when the socket fails; the queue is of no more use then.
  public mutating func receive(
    timeoutMilliseconds: Int32,
    _ body: (borrowing QueuedPacket, inout VerdictBatch) -> Void
  ) throws(CaptureError) -> Int {
    try receiveBatch(timeoutMilliseconds: timeoutMilliseconds) { batch, verdicts in
      for index in 0..<batch.count { body(batch.packet(at: index), &verdicts) }
    }
  }

  /// The same with all packets of a batch at once, for callers that look ahead: fetching the flows
  /// of the next packets into the cache while one is inspected makes their lookup four times as
  /// fast.
  public mutating func receiveBatch(
    timeoutMilliseconds: Int32,
    _ body: (borrowing QueuedBatch, inout VerdictBatch) -> Void
  ) throws(CaptureError) -> Int {
    let slots = try fillBuffers(timeoutMilliseconds: timeoutMilliseconds)
    readMessages(slots)
    if !messages.isEmpty {
      // Shared, not copied: nothing writes to them before the next batch.
      let (buffers, messages) = (buffers, messages)
      body(QueuedBatch(buffers.rawSpan, messages, arrival: Self.now()), &verdicts)
    }
    verdicts.flush()
    return messages.count
  }

  /// Decides about a packet that was received before; sent by `flushVerdicts` or with the next batch.
  public mutating func verdict(
    packetID: UInt32, _ verdict: PacketVerdict, mark: UInt32? = nil
  ) {
    verdicts.add(packetID, verdict, mark: mark)
  }

  /// The same, with the packet replaced; see `VerdictBatch.add(_:_:mark:replacement:)`.
  public mutating func verdict(
    packetID: UInt32, _ verdict: PacketVerdict, mark: UInt32? = nil, replacement: RawSpan
  ) -> Bool {
    verdicts.add(packetID, verdict, mark: mark, replacement: replacement)
  }

  /// From here on the kernel queues no more packets; those that wait are still to be received. Only for a
  /// queue that fails open: what comes meanwhile passes, where it would otherwise be dropped.
  public mutating func beginClosing() {
    var writer = NetlinkWriter()
    writer.begin(NFQNL_MSG_CONFIG, queue: number)
    writer.attribute(NFQA_CFG_QUEUE_MAXLEN.rawValue, bigEndian: 0)
    writer.end()
    let message = writer.bytes
    let descriptor = fileDescriptor
    // SAFETY: the kernel reads as many octets as there are.
    _ = unsafe message.withUnsafeBytes { unsafe send(descriptor, $0.baseAddress, $0.count, 0) }
  }

  public mutating func flushVerdicts() { verdicts.flush() }

  // MARK: Receiving

  /// - Returns: how many buffers hold a datagram.
  private mutating func fillBuffers(timeoutMilliseconds: Int32) throws(CaptureError) -> Int {
    if !early.isEmpty { return takeEarly() }
    let waits = timeoutMilliseconds != 0 && limitWait(timeoutMilliseconds)
    while true {
      let count = receiveNow(waits: waits)
      if count > 0 {
        received.receiveCount &+= 1
        return count
      }
      switch errno {
      case EAGAIN, EWOULDBLOCK, EINTR: return 0
      case ENOBUFS: received.overrunCount &+= 1
      default:
        throw CaptureError("queue \(number)", .kernel, "can't be read", systemError: errno)
      }
    }
  }

  /// One system call waits and receives, where asking first whether something is there would take three.
  private mutating func limitWait(_ milliseconds: Int32) -> Bool {
    guard milliseconds != waitMilliseconds else { return true }
    guard sluice_limit_wait(fileDescriptor, max(0, milliseconds)) == 0 else { return false }
    waitMilliseconds = milliseconds
    return true
  }

  private mutating func receiveNow(waits: Bool) -> Int {
    let (descriptor, limit) = (fileDescriptor, UInt32(batchSize))
    let count = unsafe buffers.withUnsafeMutableBytes { bytes in
      unsafe lengths.withUnsafeMutableBufferPointer { lengths in
        guard let buffer = bytes.baseAddress, let length = lengths.baseAddress else { return Int32(0) }
        // SAFETY: there are `batchSize` buffers of `strideBytes` and as many lengths.
        return unsafe sluice_receive_batch(descriptor, buffer, Self.strideBytes, limit, length, waits ? 1 : 0)
      }
    }
    return Int(count)
  }

  private mutating func takeEarly() -> Int {
    let count = min(batchSize, early.count)
    for slot in 0..<count {
      let message = early[slot].prefix(Self.strideBytes)
      let start = slot * Self.strideBytes
      buffers.replaceSubrange(start..<start + message.count, with: message)
      lengths[slot] = UInt32(message.count)
    }
    early.removeFirst(count)
    return count
  }

  /// Parses the first `slots` buffers into `messages`.
  private mutating func readMessages(_ slots: Int) {
    messages.removeAll(keepingCapacity: true)
    for slot in 0..<slots {
      let start = slot * Self.strideBytes
      let end = start + min(Int(lengths[slot]), Self.strideBytes)
      let kind = QueueMessage.kind(of: buffers.rawSpan.extracting(start..<end))
      if case .answer(let error) = kind {
        if error != 0 { received.refusedVerdictCount &+= 1 }
      } else if case .packet = kind,
        var message = QueueMessage(buffers.rawSpan.extracting(start..<end))
      {
        count(message)
        message.move(by: start)
        messages.append(message)
      } else {
        received.malformedCount &+= 1
      }
    }
  }

  private mutating func count(_ message: QueueMessage) {
    let captured = message.payload.count
    received.packetCount &+= 1
    received.octetCount &+= UInt64(max(captured, Int(message.capturedLength)))
    if Int(message.capturedLength) > captured { received.cutPacketCount &+= 1 }
  }

  /// The clock, for packets that the kernel gave no time: all that are not timestamped on arrival.
  private static func now() -> Timestamp {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
  }
}
