import CSluiceLinux
import Glibc
import Traffic

/// A netlink socket that speaks with netfilter; closing it gives its queues back.
struct NetfilterSocket: ~Copyable {
  let descriptor: Int32

  /// - Parameter name: stands in the error.
  init(_ name: String) throws(CaptureError) {
    let opened = sluice_open_netfilter_socket()
    guard opened >= 0 else {
      if errno == EPROTONOSUPPORT {
        throw CaptureError(
          name, .kernel, "the kernel has no nfnetlink; try: modprobe nfnetlink_queue")
      }
      throw CaptureError(name, .kernel, "no netlink socket", systemError: errno)
    }
    descriptor = opened
  }

  deinit { close(descriptor) }
}

/// The conversation with the kernel that sets up a queue.
struct QueueSetup {
  let descriptor: Int32
  let number: UInt16
  /// Settings that the kernel refused.
  private(set) var refusals: [String] = []
  /// Packets that came between two answers.
  private(set) var early: [[UInt8]] = []

  private var name: String { "queue \(number)" }

  init(descriptor: Int32, number: UInt16) {
    self.descriptor = descriptor
    self.number = number
  }

  /// Binds first and asks for packets last: until then the kernel queues none.
  mutating func run(_ options: NFQueueOptions) throws(CaptureError) {
    let bindError = try configure { $0.attribute(NFQA_CFG_CMD.rawValue, Self.bindCommand) }
    if bindError != 0 { throw bindingError(bindError) }
    setSocketOptions(options)
    // One by one: the kernel refuses a flags message whole when it lacks one of them.
    try setFlag(UInt32(NFQA_CFG_F_GSO), options.takesGSO, "segmentation offload (NFQA_CFG_F_GSO)")
    try setFlag(UInt32(NFQA_CFG_F_FAIL_OPEN), options.failsOpen, "fail-open (NFQA_CFG_F_FAIL_OPEN)")
    let lengthError = try configure {
      $0.attribute(NFQA_CFG_QUEUE_MAXLEN.rawValue, bigEndian: options.packetCountMax)
    }
    note(lengthError, "queue length \(options.packetCountMax)")
    let length = min(options.copyLength, 65_531)
    var parameters = (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * $0)) }
    parameters.append(UInt8(NFQNL_COPY_PACKET.rawValue))
    let modeError = try configure { $0.attribute(NFQA_CFG_PARAMS.rawValue, parameters) }
    if modeError != 0 {
      throw CaptureError(name, .kernel, "the kernel hands over no packets", systemError: modeError)
    }
  }

  /// Asks whether the kernel lets this process configure queues.
  func probe() throws(CaptureError) {
    var copy = self
    // The unbind command; ENODEV says that the queue is not there, as expected.
    let error = try copy.configure { $0.attribute(NFQA_CFG_CMD.rawValue, [2, 0, 0, 0]) }
    if error != 0, error != ENODEV { throw bindingError(error) }
  }

  /// nfqnl_msg_config_cmd: command, padding, protocol family (unused since Linux 3.8).
  private static let bindCommand: [UInt8] = [UInt8(NFQNL_CFG_CMD_BIND.rawValue), 0, 0, 0]

  private mutating func setSocketOptions(_ options: NFQueueOptions) {
    if sluice_force_receive_buffer(descriptor, options.receiveBufferBytes) != 0 {
      note(errno, "receive buffer of \(options.receiveBufferBytes) octets")
    }
    // A send larger than the buffer would be refused whole.
    if sluice_force_send_buffer(descriptor, Int32(4 * VerdictBatch.capacityBytes)) != 0 {
      note(errno, "send buffer")
    }
    if sluice_ignore_lost_netlink_messages(descriptor) != 0 { note(errno, "NETLINK_NO_ENOBUFS") }
  }

  private mutating func setFlag(_ flag: UInt32, _ isOn: Bool, _ what: String) throws(CaptureError) {
    let error = try configure {
      $0.attribute(NFQA_CFG_FLAGS.rawValue, bigEndian: isOn ? flag : 0)
      $0.attribute(NFQA_CFG_MASK.rawValue, bigEndian: flag)
    }
    note(error, what)
  }

  private mutating func note(_ error: Int32, _ what: String) {
    if error != 0 { refusals.append("\(what): \(systemErrorText(error))") }
  }

  /// Sends one configuration message and waits for the answer.
  /// - Returns: the kernel's errno, 0 when it agreed.
  private mutating func configure(
    _ fill: (inout NetlinkWriter) -> Void
  ) throws(CaptureError) -> Int32 {
    var writer = NetlinkWriter()
    writer.begin(NFQNL_MSG_CONFIG, queue: number, flags: NLM_F_ACK)
    fill(&writer)
    writer.end()
    let message = writer.bytes
    let descriptor = descriptor
    // SAFETY: the kernel reads as many octets as there are.
    let sent = unsafe message.withUnsafeBytes { unsafe send(descriptor, $0.baseAddress, $0.count, 0) }
    guard sent >= 0 else {
      throw CaptureError(name, .kernel, "the kernel takes no messages", systemError: errno)
    }
    return try awaitAnswer()
  }

  /// The kernel answers before `send` returns, so an answer that is not there won't come.
  private mutating func awaitAnswer() throws(CaptureError) -> Int32 {
    var buffer = [UInt8](repeating: 0, count: 70_000)
    while true {
      let descriptor = descriptor
      // SAFETY: the kernel writes at most the length it is told.
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
      }
      guard count >= 0 else {
        if errno == EINTR { continue }
        throw CaptureError(name, .kernel, "no answer from the kernel", systemError: errno)
      }
      let message = Array(buffer[..<count])
      switch QueueMessage.kind(of: message.rawSpan) {
      case .answer(let error): return error
      case .packet: early.append(message)
      case .other: continue
      }
    }
  }

  /// EPERM means two things: no right to configure, or another program's queue.
  private func bindingError(_ error: Int32) -> CaptureError {
    if error == EPERM || error == EBUSY {
      let holder = try? QueueStatistics.of(number)
      if let holder {
        return CaptureError(
          name, .configuration, "is in use by the process or netlink port \(holder.port)")
      }
      return CaptureError(name, .configuration, "needs root or CAP_NET_ADMIN")
    }
    if error == EINVAL || error == EOPNOTSUPP || error == EPROTONOSUPPORT {
      return CaptureError(
        name, .kernel, "the kernel has no nfnetlink_queue; try: modprobe nfnetlink_queue")
    }
    return CaptureError(name, .kernel, "can't be bound", systemError: error)
  }
}
