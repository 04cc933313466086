import Traffic

/// Reads one direction of an SSH connection up to its first new keys.
///
/// - Source: RFC 4253 sections 4.2 (version line), 6 (packets), 7.1 (SSH_MSG_KEXINIT), 7.3 (new keys).
/// - Limits: a version line of `bannerBytesMax`; a packet of `packetBytesMax`, longer ones are passed over.
struct SSHLeg {
  enum Output {
    case banner(version: [UInt8], software: [UInt8])
    /// The name lists of an offer in order, without the cookie before them.
    case offer([[UInt8]])
    case newKeys
    /// A packet is over: its header, and what of it is kept for frames.
    case record(header: [UInt8], content: [UInt8])
    case event(SSHEvent)
  }

  private enum State { case banner, header, packet, skipping, done }

  private var state = State.banner
  private var held: [UInt8] = []
  /// Octets of the packet that are left.
  private var left = 0
  /// What packets hold is kept for frames.
  var keepsRecords = false
  private var header: [UInt8] = []
  private var content: [UInt8] = []

  /// RFC 4253 section 4.2: 255 octets, its end included.
  private static let bannerBytesMax = 255
  private static let packetBytesMax = 65_535
  /// A packet that nobody sends: the bytes are something else.
  private static let packetBytesImpossible = 1 << 24

  /// Bytes were lost: where a packet begins cannot be told any more.
  mutating func stop() {
    state = .done
    held = []
  }

  mutating func take(_ bytes: RawSpan, _ output: (Output) -> Void) {
    var at = 0
    while at < bytes.byteCount {
      switch state {
      case .done: return
      case .banner: at = takeBanner(bytes, at, output)
      case .header: at = takeHeader(bytes, at, output)
      case .packet:
        let count = min(left, bytes.byteCount - at)
        held.append(bytes.extracting(at..<at + count))
        keep(bytes.extracting(at..<at + count))
        at += count
        left -= count
        if left == 0 {
          endRecord(output)
          endOffer(output)
        }
      case .skipping:
        let count = min(left, bytes.byteCount - at)
        keep(bytes.extracting(at..<at + count))
        at += count
        left -= count
        if left == 0 {
          state = .header
          endRecord(output)
        }
      }
    }
  }

  private mutating func takeBanner(_ bytes: RawSpan, _ at: Int, _ output: (Output) -> Void) -> Int {
    let end = HTTPScan.lineEnd(bytes, at)
    let stop = end ?? bytes.byteCount
    let room = max(0, Self.bannerBytesMax + 1 - held.count)
    held.append(bytes.extracting(at..<at + min(room, stop - at)))
    if held.count > Self.bannerBytesMax { output(.event(.longBanner)) }
    guard end != nil || held.count > Self.bannerBytesMax else { return stop }
    let line = held.prefix(Self.bannerBytesMax).prefix { $0 != 10 && $0 != 13 }
    if end != nil {
      held = []
      state = .header
    } else {
      // The rest of the line belongs to it; one event is enough.
      held.removeLast()
    }
    guard line.starts(with: "SSH-".utf8), let dash = line.dropFirst(4).firstIndex(of: 45), dash > 4 else {
      output(.event(.invalidBanner))
      self.stop()
      return stop
    }
    let software = line[(dash + 1)...].prefix { $0 != 32 }
    output(.banner(version: Array(line[4..<dash]), software: Array(software)))
    return stop
  }

  private mutating func takeHeader(_ bytes: RawSpan, _ at: Int, _ output: (Output) -> Void) -> Int {
    let count = min(6 - held.count, bytes.byteCount - at)
    held.append(bytes.extracting(at..<at + count))
    guard held.count == 6 else { return at + count }
    let length = held[..<4].reduce(0) { $0 << 8 | Int($1) }
    let code = held[5]
    header = keepsRecords ? held : []
    held = []
    guard length >= 2, length < Self.packetBytesImpossible else {
      output(.event(.invalidRecord))
      stop()
      return at + count
    }
    // The padding's length and the message's number are read already.
    left = length - 2
    state = left == 0 ? .header : .skipping
    if left == 0 || code == 21 { endRecord(output) }
    switch code {
    case 20 where length <= Self.packetBytesMax: if left > 0 { state = .packet }
    case 20: output(.event(.longKeyExchange))
    case 21:
      output(.newKeys)
      stop()
    default: break
    }
    return at + count
  }

  private mutating func keep(_ bytes: RawSpan) {
    guard keepsRecords else { return }
    let room = max(0, Self.packetBytesMax - content.count)
    content.append(bytes.extracting(0..<min(room, bytes.byteCount)))
  }

  private mutating func endRecord(_ output: (Output) -> Void) {
    guard keepsRecords else { return }
    output(.record(header: header, content: content))
    header = []
    content = []
  }

  private mutating func endOffer(_ output: (Output) -> Void) {
    let bytes = held
    held = []
    state = .header
    var lists: [[UInt8]] = []
    var at = 16
    for _ in 0..<8 {
      guard at + 4 <= bytes.count else { return output(.event(.invalidRecord)) }
      let count = bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
      guard count <= bytes.count - at - 4 else { return output(.event(.invalidRecord)) }
      lists.append(Array(bytes[at + 4..<at + 4 + count]))
      at += 4 + count
    }
    output(.offer(lists))
  }
}
