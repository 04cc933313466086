import CSluiceLinux
import Glibc

/// A worker's end of the connection to the process that holds the authority's key.
///
/// What was asked and not answered is asked again when that process has been started anew.
/// - Limits: `waitingCountMax` leaves at a time; one more fails at once. Who asks sees to the time it may take.
/// SAFETY: buffers are handed to the kernel together with their length.
@safe
final class SigningChannel {
  enum News {
    case signed(UnsignedLeaf, [UInt8])
    case refused(UnsignedLeaf, String)
    /// The process had to be started again.
    case restarted
    /// Nobody is there any more, and nobody will be.
    case gone
  }

  static let waitingCountMax = 1_024

  let descriptor: Int32
  private var waiting: [UInt32: UnsignedLeaf] = [:]
  private var number: UInt32 = 0
  private var buffer = [UInt8](repeating: 0, count: SigningMessage.answerBytesMax)
  private var isGone = false
  /// Taken from the kernel's queue only once that has room again.
  private var unsent: [UInt32] = []

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// - Returns: false where it can't be asked for.
  func ask(_ leaf: UnsignedLeaf) -> Bool {
    guard !isGone, waiting.count < Self.waitingCountMax, leaf.toBeSigned.count <= SigningMessage.requestBytesMax else {
      return false
    }
    number &+= 1
    waiting[number] = leaf
    if !unsent.isEmpty || !send(number) { unsent.append(number) }
    return true
  }

  /// Nobody waits for it any more.
  func forget(_ leaf: UnsignedLeaf) {
    guard let number = waiting.first(where: { $0.value === leaf })?.key else { return }
    waiting[number] = nil
  }

  /// Reads what there is; call it when the descriptor is ready, and now and then.
  func news() -> [News] {
    var found: [News] = []
    while !isGone {
      let got = unsafe recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if got < 0, errno == EINTR { continue }
      if got < 0, errno == EAGAIN { break }
      guard got > 0 else {
        isGone = true
        found.append(.gone)
        break
      }
      let message = SigningMessage(buffer[..<got])
      switch message {
      case .signed(let number, let signature)?:
        if let leaf = waiting.removeValue(forKey: number) { found.append(.signed(leaf, signature)) }
      case .refused(let number, let reason)?:
        if let leaf = waiting.removeValue(forKey: number) { found.append(.refused(leaf, reason)) }
      case .ready?:
        found.append(.restarted)
        unsent = waiting.keys.sorted()
      case .unusable?, nil: break
      }
    }
    sendRest()
    return found
  }

  private func sendRest() {
    while let next = unsent.first {
      if waiting[next] != nil, !send(next) { return }
      unsent.removeFirst()
    }
  }

  /// - Returns: false where the kernel's queue is full.
  private func send(_ number: UInt32) -> Bool {
    guard let leaf = waiting[number] else { return true }
    let bytes = SigningMessage.request(number, leaf.toBeSigned)
    while true {
      if unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)) >= 0 { return true }
      if errno != EINTR { return errno != EAGAIN }
    }
  }

  /// Waits for the first word of a process that was just started.
  /// - Throws: what it says against it, or that it says nothing.
  static func awaitReady(_ descriptor: Int32, milliseconds: Int32) throws(AuthorityError) {
    var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    var buffer = [UInt8](repeating: 0, count: SigningMessage.answerBytesMax)
    guard unsafe poll(&polled, 1, milliseconds) == 1, case let got = unsafe recv(descriptor, &buffer, buffer.count, 0), got > 0 else {
      throw .unusable("the process for its key does not start")
    }
    switch SigningMessage(buffer[..<got]) {
    case .ready: return
    case .unusable(let text): throw .unusable(text)
    case .signed, .refused, nil: throw .unusable("the process for its key says something else than it should")
    }
  }
}
