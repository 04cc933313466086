/// Which bits of the packet mark, and of the connection mark, are Sluice's.
///
/// Marks are a scarce thing that quality of service, container networks and VPNs share; so every bit can be
/// moved, only these bits are ever read or written, and `Diversion.up` refuses when another rule uses one.
public struct MarkLayout: Sendable, Equatable {
  /// On a packet: give it to a socket of this machine. The only bit that the policy route looks at.
  public let deliver: UInt32
  /// On a packet and its connection: let it pass uninspected.
  public let release: UInt32
  /// `SO_MARK` of sockets that face the client.
  public let clientLeg: UInt32
  /// `SO_MARK` of sockets that face the server.
  public let serverLeg: UInt32

  /// `SO_MARK` of a server leg that was adopted from a connection already under way: both leg bits.
  public var adoptedServerLeg: UInt32 { clientLeg | serverLeg }
  /// The bits that tell a socket of Sluice's from others.
  public var socketMask: UInt32 { clientLeg | serverLeg }
  /// Every bit that is Sluice's.
  public var mask: UInt32 { deliver | release | socketMask }

  /// - Returns: nil unless the four are single bits, each a different one.
  public init?(
    deliver: UInt32 = 0x1, release: UInt32 = 0x2, clientLeg: UInt32 = 0x100, serverLeg: UInt32 = 0x200
  ) {
    let bits = [deliver, release, clientLeg, serverLeg]
    guard bits.allSatisfy({ $0.nonzeroBitCount == 1 }) else { return nil }
    guard (deliver | release | clientLeg | serverLeg).nonzeroBitCount == bits.count else { return nil }
    self.deliver = deliver
    self.release = release
    self.clientLeg = clientLeg
    self.serverLeg = serverLeg
  }

  /// Bits 0x1, 0x2, 0x100 and 0x200.
  public static let standard = MarkLayout()

  private init() {
    deliver = 0x1
    release = 0x2
    clientLeg = 0x100
    serverLeg = 0x200
  }
}

extension UInt32 {
  /// `0x1f`, as netfilter's tools write a mark.
  var hexadecimal: String { "0x" + String(self, radix: 16) }
  /// `0x1/0x1`: this bit, and only it.
  var markAndMask: String { hexadecimal + "/" + hexadecimal }
}
