import CSluiceLinux
import Glibc
import Traffic

/// One end of a connection under way, as an onlooker knows it.
public struct ConnectionEnd: Sendable, Equatable {
  public var name: InterceptionSettings.Destination
  /// The sequence number after all it has sent that is to count as sent.
  public var nextSequence: UInt32
  /// What it has sent and the other end has not acknowledged; ends at `nextSequence`.
  public var unacknowledged: [UInt8]
  /// Octets it takes, scaled.
  public var windowBytes: UInt32
  /// As its SYN said; 0 and nil where it said nothing.
  public var maximumSegmentSize: UInt16
  public var windowShift: UInt8?
  public var sackPermitted: Bool
  public var hasTimestamps: Bool
  /// The last timestamp it sent.
  public var timestamp: UInt32

  public init(
    name: InterceptionSettings.Destination, nextSequence: UInt32, unacknowledged: [UInt8], windowBytes: UInt32,
    maximumSegmentSize: UInt16, windowShift: UInt8?, sackPermitted: Bool, hasTimestamps: Bool, timestamp: UInt32
  ) {
    self.name = name
    self.nextSequence = nextSequence
    self.unacknowledged = unacknowledged
    self.windowBytes = windowBytes
    self.maximumSegmentSize = maximumSegmentSize
    self.windowShift = windowShift
    self.sackPermitted = sackPermitted
    self.hasTimestamps = hasTimestamps
    self.timestamp = timestamp
  }

  var oldestUnacknowledged: UInt32 { nextSequence &- UInt32(truncatingIfNeeded: unacknowledged.count) }
}

/// Takes a TCP connection over in its midst: two sockets, each in the place of one end, so that neither
/// end notices.
///
/// - Source: tcp(7) TCP_REPAIR, Linux net/ipv4/tcp.c; RFC 9293 section 3.3.1 (the variables), RFC 7323
///   section 2.3 (scale).
public enum RepairedConnection {
  /// - Parameters:
  ///   - injected: octets of the client behind `nextSequence` that are handed on otherwise.
  ///   - clientMark, serverMark: SO_MARK of the leg that faces the client, and the server.
  /// - Returns: descriptors, connected and not blocking; the caller owns them.
  /// - Throws: the step that the kernel refused; nothing was sent and nothing is left then.
  public static func make(
    client: ConnectionEnd, server: ConnectionEnd, injected: Int = 0, clientMark: UInt32, serverMark: UInt32
  ) throws(InterceptionError) -> (client: Int32, server: Int32) {
    let clientLeg = try socket(as: server, towards: client, read: injected, mark: clientMark)
    do throws(InterceptionError) {
      return (clientLeg, try socket(as: client, towards: server, read: 0, mark: serverMark))
    } catch {
      sluice_drop_repaired(clientLeg)
      throw error
    }
  }

  /// Gives both up without a word to the ends.
  public static func drop(_ pair: (client: Int32, server: Int32)) {
    sluice_drop_repaired(pair.client)
    sluice_drop_repaired(pair.server)
  }

  /// Whether the kernel lets this process do it; the reason why not.
  public static func obstacle() -> String? {
    sluice_probe_repair() == 0 ? nil : "TCP_REPAIR: \(errorText(errno))"
  }

  private static func socket(
    as own: ConnectionEnd, towards peer: ConnectionEnd, read: Int, mark: UInt32
  ) throws(InterceptionError) -> Int32 {
    var repair = sluice_repair()
    let isIPv4 = own.name.address.isIPv4
    repair.family = isIPv4 ? AF_INET : AF_INET6
    unsafe own.name.address.octets16.withUnsafeBytes { octets in
      // SAFETY: both are 16 octets.
      unsafe withUnsafeMutableBytes(of: &repair.own_address) { unsafe $0.copyMemory(from: octets) }
    }
    unsafe peer.name.address.octets16.withUnsafeBytes { octets in
      // SAFETY: both are 16 octets.
      unsafe withUnsafeMutableBytes(of: &repair.peer_address) { unsafe $0.copyMemory(from: octets) }
    }
    repair.own_port = own.name.port
    repair.peer_port = peer.name.port
    repair.mark = mark
    repair.send_sequence = own.oldestUnacknowledged
    repair.receive_sequence = peer.nextSequence &+ UInt32(truncatingIfNeeded: read)
    // RFC 9293 section 3.7.1: the defaults without the option.
    repair.maximum_segment_size = peer.maximumSegmentSize > 0 ? peer.maximumSegmentSize : isIPv4 ? 536 : 1220
    repair.peer_shift = peer.windowShift.map { Int8(min($0, 14)) } ?? -1
    repair.own_shift = own.windowShift.map { Int8(min($0, 14)) } ?? -1
    repair.sack = own.sackPermitted && peer.sackPermitted ? 1 : 0
    repair.timestamps = own.hasTimestamps && peer.hasTimestamps ? 1 : 0
    repair.timestamp = own.timestamp
    repair.send_window = peer.windowBytes
    // What it offered counts from what it acknowledged.
    let used = UInt32(truncatingIfNeeded: peer.unacknowledged.count &+ read)
    repair.receive_window = own.windowBytes > used ? own.windowBytes - used : 0
    var step: UnsafePointer<CChar>? = nil
    // SAFETY: the C side reads `count` octets and sets `step` to a literal.
    let descriptor = unsafe own.unacknowledged.withUnsafeBytes { octets in
      unsafe sluice_repair_socket(&repair, octets.baseAddress, octets.count, &step)
    }
    guard descriptor >= 0 else {
      let reason = errorText(errno)
      let name = unsafe step.map { unsafe String(cString: $0) } ?? "repair"
      throw .system(call: name, reason: reason)
    }
    return descriptor
  }
}
