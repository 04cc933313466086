/// How a queue is set up; the defaults are what was measured to lose nothing and cost least.
public struct NFQueueOptions: Sendable, Hashable {
  /// Octets of each packet that the kernel hands over; 65,531 is all there is room for.
  public var copyLength: UInt32 = 65_531
  /// Packets that the kernel holds for us; beyond, they pass (`failsOpen`) or are dropped.
  public var packetCountMax: UInt32 = 16_384
  /// With a full queue packets pass uninspected instead of being dropped.
  public var failsOpen = false
  /// Several segments come as one packet of up to 64 KiB: ten times the throughput.
  public var takesGSO = true
  /// The socket's receive buffer. The default of some hundred KiB loses packets in bursts.
  public var receiveBufferBytes: Int32 = 64 * 1024 * 1024
  /// Packets taken by one system call, at most 64.
  public var batchSize = 32

  public init() {}
}
