import Traffic

/// Marks off what is said over telnet: signals, and text by lines.
///
/// - Source: RFC 854 (commands), RFC 855 (subnegotiation); Suricata 8 for the frames `pdu`, `ctl`, `data`.
/// - Limits: a message of ``messageBytesMax``; a longer one is marked off in pieces.
/// - Invariant: the result does not depend on how a direction is cut into chunks.
public final class TelnetParser: AppLayerParser {
  public static let messageBytesMax = 4096

  private enum State {
    case data
    /// Behind IAC, behind the command that an option follows, within a subnegotiation, behind IAC there.
    case command, option, negotiation, negotiationCommand
  }

  private struct Leg {
    var state = State.data
    var held: [UInt8] = []
  }

  private var client = Leg()
  private var server = Leg()

  public init() { super.init(appProtocol: .telnet) }

  override public var endsMessagesWithTransactions: Bool { false }

  override public func consume(_ chunk: borrowing StreamChunk) {
    // There is nothing else to find out.
    guard frames != nil else { return }
    let direction = chunk.direction
    let bytes = chunk.bytes
    if direction == .toServer {
      if chunk.gapBefore > 0 { client = Leg() }
      take(bytes, direction, &client)
      if chunk.isEnd { end("data", direction, &client) }
    } else {
      if chunk.gapBefore > 0 { server = Leg() }
      take(bytes, direction, &server)
      if chunk.isEnd { end("data", direction, &server) }
    }
  }

  private static let iac: UInt8 = 255

  private func take(_ bytes: RawSpan, _ direction: Direction, _ leg: inout Leg) {
    for index in 0..<bytes.byteCount {
      let byte = bytes.u8(at: index)
      switch leg.state {
      case .data:
        if byte == Self.iac {
          end("data", direction, &leg)
          leg.held = [byte]
          leg.state = .command
          continue
        }
        leg.held.append(byte)
        if byte == HTTPText.lf || leg.held.count >= Self.messageBytesMax { end("data", direction, &leg) }
      case .command:
        leg.held.append(byte)
        switch byte {
        // An octet of data that looks like a command is sent twice.
        case Self.iac: leg.state = .data
        case 250: leg.state = .negotiation
        case 251...254: leg.state = .option
        default: end("ctl", direction, &leg)
        }
      case .option:
        leg.held.append(byte)
        end("ctl", direction, &leg)
      case .negotiation:
        leg.held.append(byte)
        if byte == Self.iac {
          leg.state = .negotiationCommand
        } else if leg.held.count >= Self.messageBytesMax {
          end("ctl", direction, &leg)
        }
      case .negotiationCommand:
        leg.held.append(byte)
        if byte == 240 { end("ctl", direction, &leg) } else { leg.state = .negotiation }
      }
    }
  }

  private func end(_ name: String, _ direction: Direction, _ leg: inout Leg) {
    leg.state = .data
    guard !leg.held.isEmpty else { return }
    let held = leg.held
    leg.held.removeAll(keepingCapacity: true)
    frames?.add("pdu", direction, held.rawSpan)
    frames?.add(name, direction, held.rawSpan)
  }
}
