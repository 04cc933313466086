import CSluiceLinux
import Glibc
import Traffic

/// Speaks with the kernel's connection tracking: what connections bear a mark and how much went
/// through them, taking marks away, and hearing of ends.
///
/// For one thread at a time. Needs CAP_NET_ADMIN.
public struct Conntrack: ~Copyable {
  private let socket: NetfilterSocket
  private var buffer = [UInt8](repeating: 0, count: 128 * 1024)
  /// Events that the kernel could not hand over: the receive buffer was full.
  public private(set) var lostEventCount: UInt64 = 0

  /// - Parameters:
  ///   - hearsEnds: connections that end are told by `ends`; such a socket asks nothing.
  ///   - mask: only of connections whose mark has one of these bits; 0 for all. Where many short connections pass, hearing
  ///     of each of them costs as much as a packet.
  public init(hearsEnds: Bool = false, mask: UInt32 = 0) throws(CaptureError) {
    let opened = try NetfilterSocket("connection tracking")
    if hearsEnds {
      _ = sluice_force_receive_buffer(opened.descriptor, 8 * 1024 * 1024)
      // A kernel that does not take the filter tells all.
      if mask != 0 { _ = sluice_hear_marked_connections(opened.descriptor, mask) }
      guard sluice_join_netfilter_group(opened.descriptor, Int32(NFNLGRP_CONNTRACK_DESTROY.rawValue)) == 0 else {
        throw CaptureError(
          "connection tracking", .kernel, "tells of no ends (nf_conntrack_netlink)", systemError: errno)
      }
    }
    socket = opened
  }

  public var fileDescriptor: Int32 { socket.descriptor }

  /// The connections whose mark has, under `mask`, the bits of `mark`.
  public mutating func entries(mark: UInt32, mask: UInt32) throws(CaptureError) -> [ConntrackEntry] {
    var writer = NetlinkWriter()
    writer.begin(
      subsystem: UInt16(NFNL_SUBSYS_CTNETLINK), type: UInt16(IPCTNL_MSG_CT_GET.rawValue), family: UInt8(AF_UNSPEC),
      flags: NLM_F_ROOT | NLM_F_MATCH)
    writer.attribute(UInt32(CTA_MARK.rawValue), bigEndian: mark)
    writer.attribute(UInt32(CTA_MARK_MASK.rawValue), bigEndian: mask)
    writer.end()
    try send(writer.bytes)
    var entries: [ConntrackEntry] = []
    while true {
      let count = try receive()
      if count == 0 { return entries }
      var position = 0
      while count &- position >= 16 {
        let length = Int(buffer.rawSpan.hostU32(at: position))
        guard length >= 16, length <= count &- position else { break }
        let message = buffer.rawSpan.extracting(position..<position &+ length)
        let type = message.hostU16(at: 4)
        if type == UInt16(NLMSG_DONE) || type == UInt16(NLMSG_ERROR) { return entries }
        // An older kernel knows no filter and tells all.
        if let entry = ConntrackEntry(message), entry.mark & mask == mark { entries.append(entry) }
        position &+= (length &+ 3) & ~3
      }
    }
  }

  /// Changes the bits of `mask` of a connection's mark to those of `mark`.
  /// - Returns: false where the connection is gone.
  @discardableResult
  public mutating func setMark(_ entry: ConntrackEntry, to mark: UInt32, mask: UInt32) throws(CaptureError) -> Bool {
    var writer = NetlinkWriter()
    writer.begin(
      subsystem: UInt16(NFNL_SUBSYS_CTNETLINK), type: UInt16(IPCTNL_MSG_CT_NEW.rawValue), family: entry.family,
      flags: NLM_F_ACK)
    writer.attribute(UInt32(CTA_TUPLE_ORIG.rawValue) | Self.nested, entry.nameOctets)
    writer.attribute(UInt32(CTA_MARK.rawValue), bigEndian: mark)
    writer.attribute(UInt32(CTA_MARK_MASK.rawValue), bigEndian: mask)
    writer.end()
    return try ask(writer.bytes) == 0
  }

  /// Makes the kernel forget a connection; its next packet begins a new one.
  /// - Parameter tuple: as its first packet had it.
  /// - Returns: false where there is none.
  @discardableResult
  public mutating func delete(_ tuple: FlowTuple) throws(CaptureError) -> Bool {
    var writer = NetlinkWriter()
    writer.begin(
      subsystem: UInt16(NFNL_SUBSYS_CTNETLINK), type: UInt16(IPCTNL_MSG_CT_DELETE.rawValue),
      family: UInt8(tuple.source.isIPv4 ? AF_INET : AF_INET6), flags: NLM_F_ACK)
    writer.attribute(UInt32(CTA_TUPLE_ORIG.rawValue) | Self.nested, Self.name(of: tuple))
    writer.end()
    return try ask(writer.bytes) == 0
  }

  /// Waits for connections that end.
  public mutating func ends(timeoutMilliseconds: Int32) throws(CaptureError) -> [ConntrackEntry] {
    var request = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
    // SAFETY: one element, and the count says so.
    guard unsafe poll(&request, 1, timeoutMilliseconds) > 0 else { return [] }
    var ended: [ConntrackEntry] = []
    // Bounded, so that a flood of ends does not keep the caller from its other work.
    for _ in 0..<4096 {
      let count = try receive()
      if count == 0 { break }
      guard count >= 16 else { continue }
      let length = min(count, Int(buffer.rawSpan.hostU32(at: 0)))
      guard length >= QueueMessage.headerLength else { continue }
      if let entry = ConntrackEntry(buffer.rawSpan.extracting(0..<length)) { ended.append(entry) }
    }
    return ended
  }

  // MARK: Messages

  private static let nested: UInt32 = 0x8000

  private static func name(of tuple: FlowTuple) -> [UInt8] {
    let isIPv4 = tuple.source.isIPv4
    var addresses = NetlinkWriter()
    addresses.attribute(UInt32(isIPv4 ? CTA_IP_V4_SRC.rawValue : CTA_IP_V6_SRC.rawValue), tuple.source.networkBytes)
    addresses.attribute(
      UInt32(isIPv4 ? CTA_IP_V4_DST.rawValue : CTA_IP_V6_DST.rawValue), tuple.destination.networkBytes)
    var ports = NetlinkWriter()
    ports.attribute(UInt32(CTA_PROTO_NUM.rawValue), [tuple.ipProtocol])
    ports.attribute(UInt32(CTA_PROTO_SRC_PORT.rawValue), octets(tuple.sourcePort))
    ports.attribute(UInt32(CTA_PROTO_DST_PORT.rawValue), octets(tuple.destinationPort))
    var name = NetlinkWriter()
    name.attribute(UInt32(CTA_TUPLE_IP.rawValue) | nested, addresses.bytes)
    name.attribute(UInt32(CTA_TUPLE_PROTO.rawValue) | nested, ports.bytes)
    return name.bytes
  }

  private static func octets(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }

  private func send(_ message: [UInt8]) throws(CaptureError) {
    let descriptor = socket.descriptor
    // SAFETY: the kernel reads as many octets as there are.
    let sent = unsafe message.withUnsafeBytes { unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, 0) }
    guard sent >= 0 else {
      throw CaptureError("connection tracking", .kernel, "the kernel takes no messages", systemError: errno)
    }
  }

  /// - Returns: the kernel's errno, 0 when it agreed.
  private mutating func ask(_ message: [UInt8]) throws(CaptureError) -> Int32 {
    try send(message)
    while true {
      let count = try receive()
      guard count > 0 else { return EAGAIN }
      if case .answer(let error) = QueueMessage.kind(of: buffer.rawSpan.extracting(0..<count)) { return error }
    }
  }

  /// - Returns: octets in `buffer`; 0 where nothing is there, which for an answer means never.
  private mutating func receive() throws(CaptureError) -> Int {
    while true {
      let descriptor = socket.descriptor
      // SAFETY: the kernel writes at most the length it is told.
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
      }
      if count >= 0 { return count }
      switch errno {
      case EINTR: continue
      case ENOBUFS: lostEventCount &+= 1
      case EAGAIN: return 0
      default: throw CaptureError("connection tracking", .kernel, "can't be read", systemError: errno)
      }
    }
  }
}
