import AppLayer
import Detection
import PacketDecoding
import Traffic

/// Something to be told: what the path hands to an ``EventSink``.
///
/// Events borrow the worker's own objects; a sink writes down what it needs before it returns.
public enum Event {
  case alert(AlertEvent)
  case drop(DropEvent)
  /// A transaction is complete, or in the direction named, as far as its protocol logs it then.
  case transaction(Transaction, Direction?)
  /// More of a file that is to be stored has come, or it is over (``TransferFile/takeWaiting()``).
  case fileContent(TransferFile, Transaction)
  /// A file is over.
  case file(TransferFile, Transaction)
  case anomaly(AnomalyEvent)
  /// An ARP message; the packet's bytes hold it.
  case arp
  /// A flow is over.
  case flow
  case interception(InterceptionRecord)
  /// A rule has gone past its budget of time.
  case ruleExcess(RuleExcessRecord)
  /// A packet that a rule's `tag` asks for.
  case taggedPacket
}

/// Where and when an event happened: what most records share.
public struct EventContext {
  public var time: Timestamp
  /// Number of the packet in its capture, from 1 (EVE `pcap_cnt`); 0 outside captures.
  public var packetNumber: UInt64 = 0
  /// Headers of the packet in hand; for relayed streams only its addresses are filled.
  public var packet: DecodedPacket
  /// Which way the packet travels in its flow.
  public var direction: Direction = .toServer
  public var flow: FlowRecord?
  public var appLayer: AppLayerFlow?
  /// The bytes come from inside TLS.
  public var decryption: DecryptionFacts?
  /// Octets of the packet as captured.
  public var packetLength: Int = 0
  public var interfaceName: String?
  /// The packet came inside another one.
  public var tunnel: TunnelRecord?

  public init(time: Timestamp, packet: DecodedPacket) {
    self.time = time
    self.packet = packet
  }
}

/// Takes events; one for each worker, never called from two threads.
public protocol EventSink: AnyObject {
  /// - Parameter bytes: of the packet in hand; empty for relayed streams.
  func emit(_ event: Event, _ context: borrowing EventContext, bytes: RawSpan)
}
