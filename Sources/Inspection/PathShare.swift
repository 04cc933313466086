import FlowTracking
import PacketDecoding
import Traffic

/// What a path that has only a share of a capture's packets notes, so that it can be told afterwards whether all that
/// belongs together was in one share.
///
/// The packets of a flow are in one share by ``FlowSpread``. What comes out of tunnels and of fragments is where its
/// outermost packet is, and is noted here.
public struct PathShare: Sendable {
  /// Hosts whose traffic a share has, at a depth of tunnels.
  public struct Claim: Hashable, Sendable {
    let low: IPAddress
    let high: IPAddress
    let depth: UInt8

    init(_ ends: (IPAddress, IPAddress), depth: UInt8) {
      low = min(ends.0, ends.1)
      high = max(ends.0, ends.1)
      self.depth = depth
    }
  }

  public enum Refusal: Sendable {
    /// TCP in fragments, or an ICMP error about it: ports do not say whose it is.
    case fragmentedTCP
    case other(String)
  }

  /// More are not noted: the capture is not shared then.
  public static let claimsMax = 1 << 20
  /// Fragments wait for each other whatever tunnel they are in.
  private static let anyDepth: UInt8 = 255

  public let index: Int
  public let count: Int
  public let usesPorts: Bool
  private let usesTunnelDepth: Bool
  public private(set) var claims: Set<Claim> = []
  /// Something was met that another share may have had to see; nil where all is well.
  public private(set) var refusal: Refusal?
  private var last: Claim?

  public init(index: Int, count: Int, usesPorts: Bool, usesTunnelDepth: Bool) {
    self.usesPorts = usesPorts
    self.index = index
    self.count = count
    self.usesTunnelDepth = usesTunnelDepth
  }

  /// Notes a packet at any depth, or a datagram made of fragments.
  @inline(__always)
  mutating func note(_ packet: borrowing DecodedPacket) {
    let (depth, isPart, isWhole) = (packet.tunnelDepth, packet.isFragment, packet.isReassembled)
    if depth > 0 || isPart || isWhole { noteInner(packet) }
  }

  private mutating func noteInner(_ packet: borrowing DecodedPacket) {
    guard packet.ipVersion != 0 else { return }
    if packet.isFragment { claim(Claim((packet.source, packet.destination), depth: Self.anyDepth)) }
    let depth = packet.tunnelDepth
    if depth > 0, usesTunnelDepth {
      claim(Claim(FlowSpread.ends(of: packet), depth: depth))
    } else if !packet.isFragment, FlowSpread.place(packet, of: count, usesPorts: usesPorts) != index {
      if depth > 0 {
        refusal = .other("packets in tunnels belong to flows outside of them")
      } else {
        refusal = usesPorts ? .fragmentedTCP : .other("an ICMP error in fragments")
      }
    }
  }

  private mutating func claim(_ claim: Claim) {
    guard claim != last else { return }
    last = claim
    guard claims.count < Self.claimsMax else {
      refusal = .other("too many hosts in tunnels")
      return
    }
    claims.insert(claim)
  }
}
