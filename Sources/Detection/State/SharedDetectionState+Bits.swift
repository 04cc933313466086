import Traffic

extension SharedDetectionState {
  func hasBit(_ bit: XBit, _ ends: PacketEnds) -> Bool {
    turn?.take()
    return hostBits.update(Self.key(bit, ends), at: ends.time) { expiry in
      (expiry ?? Timestamp(nanoseconds: .min), expiry != nil)
    }
  }

  func setBit(_ bit: XBit, _ ends: PacketEnds) {
    turn?.take()
    let until = Timestamp(
      nanoseconds: ends.time.nanoseconds &+ Int64(bit.expireSeconds) &* 1_000_000_000)
    hostBits.update(Self.key(bit, ends), at: ends.time) { expiry in
      expiry = until
      return (until, ())
    }
  }

  func clearBit(_ bit: XBit, _ ends: PacketEnds) {
    turn?.take()
    hostBits.update(Self.key(bit, ends), at: ends.time) { expiry in
      expiry = nil
      return (Timestamp(nanoseconds: .min), ())
    }
  }

  private static func key(_ bit: XBit, _ ends: PacketEnds) -> HostBitKey {
    let none = IPAddress(high: 0, low: 0)
    switch bit.track {
    case .source:
      return HostBitKey(name: bit.name, isPair: false, first: ends.source, second: none)
    case .destination:
      return HostBitKey(name: bit.name, isPair: false, first: ends.destination, second: none)
    case .pair, .transaction:
      // The pair is the same from both ends.
      let isOrdered = ends.source < ends.destination
      return HostBitKey(
        name: bit.name, isPair: true, first: isOrdered ? ends.source : ends.destination,
        second: isOrdered ? ends.destination : ends.source)
    }
  }
}
