import CSluiceLinux
import Glibc
import Traffic

/// A frame as an interface saw it; borrowed from the ring.
public struct RingFrame: ~Escapable {
  /// From the Ethernet header on, with its VLAN tag where the card had taken that out.
  public let bytes: RawSpan
  public let originalLength: Int
  public let time: Timestamp
  /// The transport checksum is left to hardware: it can't be verified.
  public let checksumNotReady: Bool

  @_lifetime(copy bytes)
  init(bytes: RawSpan, originalLength: Int, time: Timestamp, checksumNotReady: Bool) {
    self.bytes = bytes
    self.originalLength = originalLength
    self.time = time
    self.checksumNotReady = checksumNotReady
  }
}

/// Copies of the frames of one interface, without a say in what becomes of them.
///
/// - Source: packet(7), Linux Documentation/networking/packet_mmap.rst, TPACKET_V3.
/// - Limits: 32 MiB of frames wait; what comes beyond is lost and counted.
/// SAFETY: the ring's memory is mapped from `init` to `deinit`, and frames are lent within it.
@safe
public struct PacketRing: ~Copyable {
  public struct Counters: Sendable, Hashable {
    public var packetCount: UInt64 = 0
    public var octetCount: UInt64 = 0
    /// Frames that found no room.
    public var lostCount: UInt64 = 0
    public init() {}
  }

  public private(set) var counters = Counters()
  private var ring = unsafe sluice_packet_ring()
  private var next: UInt32 = 0
  /// A frame with its VLAN tag put back.
  private var tagged: [UInt8] = []

  /// - Parameters:
  ///   - group: above 0, the rings of this number share the frames, each flow in both directions to one.
  ///     Open all of them before any of them begins.
  public init(interface: String, group: Int = 0) throws(CaptureError) {
    var opened = unsafe sluice_packet_ring()
    var step: UnsafePointer<CChar>? = nil
    // SAFETY: the C side fills the structure and sets `step` to a literal.
    guard unsafe sluice_packet_ring_open(&opened, interface, Int32(truncatingIfNeeded: group), &step) == 0 else {
      let code = errno
      let name = unsafe step.map { unsafe String(cString: $0) } ?? "ring"
      throw CaptureError("interface \(interface)", code == EPERM ? .configuration : .kernel, name, systemError: code)
    }
    unsafe ring = opened
  }

  /// Frames are received from here on: as long as rings join a group, each of them would get what is another's.
  public mutating func begin() throws(CaptureError) {
    guard unsafe sluice_packet_ring_begin(&ring) == 0 else {
      throw CaptureError("ring", .kernel, "can't begin", systemError: errno)
    }
  }

  deinit {
    var closing = unsafe ring
    unsafe sluice_packet_ring_close(&closing)
  }

  /// Waits for frames and lends each of those that are ready to `body`.
  /// - Returns: how many there were.
  public mutating func receive(
    timeoutMilliseconds: Int32, _ body: (borrowing RingFrame) -> Void
  ) throws(CaptureError) -> Int {
    var first: UInt32 = 0
    if unsafe sluice_packet_ring_block(&ring, next, &first) < 0 {
      var request = pollfd(fd: unsafe ring.descriptor, events: Int16(POLLIN), revents: 0)
      // SAFETY: one element, and the count says so.
      let ready = unsafe poll(&request, 1, timeoutMilliseconds)
      if ready > 0, request.revents & Int16(POLLERR) != 0 {
        // The interface went down; frames come again when it is up.
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        unsafe getsockopt(unsafe ring.descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        if code != 0, code != ENETDOWN {
          throw CaptureError("ring", .kernel, "can't be read", systemError: code)
        }
        var pause = timespec(tv_sec: 0, tv_nsec: 50_000_000)
        unsafe nanosleep(&pause, nil)
      }
    }
    var total = 0
    while total < Self.batchMax {
      let count = unsafe sluice_packet_ring_block(&ring, next, &first)
      if count < 0 { break }
      lend(block: next, count: count, first: first, body)
      unsafe sluice_packet_ring_done(&ring, next)
      next = unsafe (next &+ 1) % ring.block_count
      total += Int(count)
    }
    countLost()
    return total
  }

  /// After so many frames the caller gets to do other things.
  private static let batchMax = 4096

  private mutating func lend(block: UInt32, count: Int32, first: UInt32, _ body: (borrowing RingFrame) -> Void) {
    guard let memory = unsafe ring.memory else { return }
    let size = unsafe Int(ring.block_bytes)
    let base = unsafe memory + Int(block) * size
    var place = first
    var frame = sluice_ring_frame()
    for _ in 0..<count {
      unsafe sluice_packet_ring_frame(&ring, block, place, &frame)
      let offset = Int(frame.offset)
      let length = Int(frame.captured)
      if offset >= 0, length > 0, offset + length <= size {
        // SAFETY: the octets lie in the block, which is ours until it is given back.
        let bytes = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(base + offset), byteCount: length)
        counters.packetCount &+= 1
        counters.octetCount &+= UInt64(frame.length)
        hand(bytes, frame, body)
      }
      if frame.next == 0 { return }
      place = frame.next
    }
  }

  private mutating func hand(_ bytes: RawSpan, _ frame: sluice_ring_frame, _ body: (borrowing RingFrame) -> Void) {
    let time = Timestamp(seconds: Int64(frame.seconds), nanoseconds: Int64(frame.nanoseconds))
    let isPartial = frame.checksum_not_ready != 0
    guard frame.has_vlan != 0, bytes.byteCount >= 14 else {
      return body(
        RingFrame(bytes: bytes, originalLength: Int(frame.length), time: time, checksumNotReady: isPartial))
    }
    tagged.removeAll(keepingCapacity: true)
    tagged.append(bytes.extracting(0..<12))
    for word in [frame.vlan_type, frame.vlan] {
      tagged.append(UInt8(word >> 8))
      tagged.append(UInt8(truncatingIfNeeded: word))
    }
    tagged.append(bytes.extracting(12..<bytes.byteCount))
    body(
      RingFrame(
        bytes: tagged.rawSpan, originalLength: Int(frame.length) + 4, time: time, checksumNotReady: isPartial))
  }

  private mutating func countLost() {
    var received: UInt32 = 0
    var lost: UInt32 = 0
    guard unsafe sluice_packet_ring_counts(ring.descriptor, &received, &lost) == 0 else { return }
    counters.lostCount &+= UInt64(lost)
  }
}
