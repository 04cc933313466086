import Traffic

/// Which checksum of a packet is meant.
public enum ChecksumPlace: UInt8, Sendable, BitwiseCopyable {
  case network, transport
}

extension DecodedPacket {
  /// Whether a checksum is right, worked out now where the decoder was not asked to.
  ///
  /// - Source: RFC 1071; of UDP a field of 0 says that the sender made none.
  /// - Parameter bytes: those that the packet was decoded from.
  /// - Returns: `notVerified` where there is none, where the card is to fill it in, or where octets are missing.
  public func checksum(_ place: ChecksumPlace, in bytes: RawSpan) -> ChecksumState {
    switch place {
    case .network:
      guard ipVersion == 4 else { return .notVerified }
      if networkChecksum != .notVerified { return networkChecksum }
      guard let header = piece(of: bytes, from: networkOffset, count: networkHeaderLength) else { return .notVerified }
      return Self.state(Checksum.sum(header))
    case .transport:
      guard hasTransport else { return .notVerified }
      if transportChecksum != .notVerified || isChecksumLeftToCard { return transportChecksum }
      // Both lie inside the captured bytes, of which there are less than 2^31.
      let count = payloadOffset &+ payloadLength &- transportOffset
      guard let segment = piece(of: bytes, from: transportOffset, count: count) else { return .notVerified }
      if isUDP, segment.byteCount < 8 || segment.u16(at: 6) == 0 { return .notVerified }
      if ipProtocol == IPProtocol.icmp { return Self.state(Checksum.sum(segment)) }
      let pseudo = Checksum.pseudoHeader(
        source, destination, ipProtocol: ipProtocol, length: segment.byteCount)
      return Self.state(Checksum.sum(segment, initial: pseudo))
    }
  }

  private static func state(_ sum: UInt64) -> ChecksumState { Checksum.fold(sum) == 0xffff ? .valid : .invalid }

  @_lifetime(copy bytes)
  private func piece(of bytes: RawSpan, from offset: Int32, count: Int32) -> RawSpan? {
    let (start, length) = (Int(offset), Int(count))
    guard start >= 0, length > 0, start &+ length <= bytes.byteCount else { return nil }
    return bytes.extracting(start..<start &+ length)
  }
}
