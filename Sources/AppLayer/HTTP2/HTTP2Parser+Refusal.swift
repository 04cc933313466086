import Traffic

extension HTTP2Parser {
  /// Octets that a peer takes in one frame whatever its settings (RFC 9113 section 4.2).
  private static var pageBytesMax: Int { 16_384 }

  /// What a client can be sent in place of the answer to its last request: status 403 with a page, then
  /// GOAWAY. Fields are literals that leave the client's table alone (RFC 7541 section 6.2.2).
  ///
  /// - Returns: nil where no request waits for its answer, or the server is in the middle of a frame.
  public func refusal(page: [UInt8]) -> [UInt8]? {
    guard server.phase == .header, server.held.isEmpty, server.block == nil, page.count <= Self.pageBytesMax
    else { return nil }
    let waiting = streams.values.filter {
      $0.streamID & 1 == 1 && $0.progress(.toServer) >= HTTPProgress.body
        && $0.progress(.toClient) == HTTPProgress.notStarted
    }
    guard let stream = waiting.map(\.streamID).max() else { return nil }
    // :status by its index 8, content-type by 31, both without indexing.
    var head: [UInt8] = [0x08, 3] + Array("403".utf8)
    head += [0x0f, 0x10, 9] + Array("text/html".utf8)
    var out: [UInt8] = []
    // A server speaks SETTINGS first (RFC 9113 section 3.4).
    if !server.hasBegun { out += Self.frame(.settings, 0, 0, []) }
    out += Self.frame(.headers, 4, stream, head)
    out += Self.frame(.data, 1, stream, page)
    out += Self.frame(.goAway, 0, 0, Self.octets(stream) + Self.octets(HTTP2ErrorCode.noError.rawValue))
    return out
  }

  private static func octets(_ number: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - UInt32($0) * 8)) }
  }

  private static func frame(_ type: HTTP2FrameType, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
    octets(UInt32(truncatingIfNeeded: payload.count)).dropFirst() + [type.rawValue, flags] + octets(stream) + payload
  }
}
