/// Chooses a queue for each packet so that all packets of a flow, in both directions, get the same one.
///
/// NFQUEUE's own `--queue-balance` hashes addresses only: all flows of two hosts would meet one worker. HMARK and
/// nftables' `symhash` hash ports too, but overwrite the whole mark, other people's bits included. So the hash is
/// a short classic BPF program (`-m bpf`), which leaves the packet as it is.
///
/// - Source: bpf(4) for the instructions; RFC 791, 8200, 9293 for the offsets. The program sees the packet from its
///   network header on.
/// - Limits: ports count for TCP, UDP and SCTP without IPv6 extension headers; other packets, and
///   fragments (with connection tracking there are none left here), go by addresses alone.
struct FlowSpread {
  let family: AddressFamily
  let queueCount: Int

  /// One step of a classic BPF program.
  private struct Instruction {
    let code: Int
    var ifTrue = 0
    var ifFalse = 0
    var constant: UInt32 = 0

    var text: String { "\(code) \(ifTrue) \(ifFalse) \(constant)" }

    static func loadWord(_ offset: UInt32) -> Self { Self(code: 0x20, constant: offset) }
    static func loadHalf(_ offset: UInt32) -> Self { Self(code: 0x28, constant: offset) }
    static func loadByte(_ offset: UInt32) -> Self { Self(code: 0x30, constant: offset) }
    static func loadWordAtIndex(_ offset: UInt32) -> Self { Self(code: 0x40, constant: offset) }
    /// The index becomes the length of the IPv4 header, in octets.
    static let indexByHeaderLength = Self(code: 0xb1)
    static let accumulatorToIndex = Self(code: 0x07)
    static let store = Self(code: 0x02)
    static let recall = Self(code: 0x60)
    static let xorWithIndex = Self(code: 0xac)
    static func and(_ constant: UInt32) -> Self { Self(code: 0x54, constant: constant) }
    static func multiply(_ constant: UInt32) -> Self { Self(code: 0x24, constant: constant) }
    static func shiftRight(_ bits: UInt32) -> Self { Self(code: 0x74, constant: bits) }
    static func remainder(_ divisor: UInt32) -> Self { Self(code: 0x94, constant: divisor) }
    static func skip(ifEqual constant: UInt32, _ ifTrue: Int, else ifFalse: Int = 0) -> Self {
      Self(code: 0x15, ifTrue: ifTrue, ifFalse: ifFalse, constant: constant)
    }
    static func skip(ifAnyOf bits: UInt32, _ count: Int) -> Self {
      Self(code: 0x45, ifTrue: count, constant: bits)
    }
    static func answer(_ value: UInt32) -> Self { Self(code: 0x06, constant: value) }
  }

  /// The `--bytecode` argument of a match for the packets of one queue; `queueIndex` counts from 0.
  func bytecode(queueIndex: Int) -> String {
    let instructions = addresses + protocolGate + ports + choice(queueIndex)
    return ([String(instructions.count)] + instructions.map(\.text)).joined(separator: ",")
  }

  /// The exclusive or of both addresses, word by word; kept in memory.
  private var addresses: [Instruction] {
    let offsets: [UInt32] = family == .ipv4 ? [12, 16] : Array(stride(from: 8, to: 40, by: 4))
    var steps = [Instruction.loadWord(offsets[0])]
    for offset in offsets.dropFirst() {
      steps += [.accumulatorToIndex, .loadWord(offset), .xorWithIndex]
    }
    return steps + [.store]
  }

  /// Skips `ports` unless the packet has some, where they are looked for.
  private var protocolGate: [Instruction] {
    let past = ports.count
    guard family == .ipv4 else {
      return [.loadByte(6), .skip(ifEqual: 6, 2), .skip(ifEqual: 17, 1), .skip(ifEqual: 132, 0, else: past)]
    }
    return [
      .loadByte(9), .skip(ifEqual: 6, 2), .skip(ifEqual: 17, 1), .skip(ifEqual: 132, 0, else: past + 2),
      .loadHalf(6), .skip(ifAnyOf: 0x3fff, past),
    ]
  }

  /// Mixes the exclusive or of both ports into what is kept.
  private var ports: [Instruction] {
    let load: [Instruction] =
      family == .ipv4 ? [.indexByHeaderLength, .loadWordAtIndex(0)] : [.loadWord(40)]
    return load + [
      .accumulatorToIndex, .shiftRight(16), .xorWithIndex, .and(0xffff), .multiply(0x85eb_ca6b),
      .accumulatorToIndex, .recall, .xorWithIndex, .store,
    ]
  }

  /// Multiplicative hashing: the upper half of the product depends on every bit below.
  private func choice(_ queueIndex: Int) -> [Instruction] {
    [
      .recall, .multiply(0x9e37_79b1), .shiftRight(16), .remainder(UInt32(queueCount)),
      .skip(ifEqual: UInt32(queueIndex), 0, else: 1), .answer(1), .answer(0),
    ]
  }
}
