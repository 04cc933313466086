import PacketDecoding
import Traffic

extension TCPSession {
  /// From the end of the handshake to the last acknowledged FIN.
  mutating func trackOpen(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    if segment.has(TCPFields.rst) { return trackReset(segment, &result) }
    if segment.has(TCPFields.syn) {
      if renews(segment, settings) {
        result.events.insert(.establishedSynResendDifferentSequence)
        return
      }
      return trackLateSyn(segment, &result)
    }
    guard isTimestampRight(segment) else { return result.refuse(.packetInvalidTimestamp) }
    guard isAcknowledgementRight(segment) else {
      result.refuse(.packetInvalidAck)
      return result.refuse(invalidAckEvent(segment))
    }
    if isKeepAlive(segment) {
      result.flags.insert(.keepAlive)
      return acknowledge(segment, &result)
    }
    if isBadWindowUpdate(segment) { return result.refuse(.packetBadWindowUpdate) }
    guard isInWindow(segment, &result) else { return }
    noteRetransmission(segment, &result)
    result.flags.insert(.accepted)
    acknowledge(segment, &result)
    takePayload(segment)
    advanceClosing(segment, &result)
  }

  /// After the end: late packets are of no use, but tell of a RST that was not believed.
  mutating func trackClosed(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    if segment.has(TCPFields.rst) { return }
    if segment.has(TCPFields.syn) { return result.refuse(.shutdownSynResend) }
    let peerReset = segment.direction == .toServer ? server.hasSentRST : client.hasSentRST
    if peerReset, segment.has(TCPFields.ack) {
      // Somebody else may have sent the RST, to blind whoever looks on.
      return result.refuse(.suspectedRstInject)
    }
    if segment.payloadLength > 0 { result.refuse() }
  }

  // MARK: Checks

  /// A client asks for a new connection where this one stands; it is the server's to say what becomes of that.
  private mutating func renews(_ segment: TCPSegment, _ settings: TCPSessionSettings) -> Bool {
    settings.renewsSessions && segment.direction == .toServer && !segment.has(TCPFields.ack) && segment.payloadLength == 0
      && segment.tcp.sequence != client.initialSequence
  }

  /// PAWS, RFC 7323 section 5.3. A peer that was silent for 24 days may have wrapped.
  private mutating func isTimestampRight(_ segment: TCPSegment) -> Bool {
    let end = sender(segment.direction)
    guard end.hasTimestamps, segment.tcp.hasTimestamp, end.timestamp != 0 else { return true }
    if segment.seconds &- end.timestampSeconds > 24 * 24 * 3600 { return true }
    return !Sequence32.isBefore(segment.tcp.timestampValue, end.timestamp)
  }

  /// RFC 9293 section 3.10.7.4: not for what was never sent, not from before the connection. Data
  /// that was lost before the capture counts as sent where the window allowed it.
  private mutating func isAcknowledgementRight(_ segment: TCPSegment) -> Bool {
    guard segment.has(TCPFields.ack) else { return true }
    let peer = sender(segment.direction.opposite)
    if isOneSided || !peer.isKnown { return true }
    let acknowledgement = segment.tcp.acknowledgement
    let limit = Sequence32.later(peer.nextSequence, peer.windowEnd)
    return peer.isRecent(acknowledgement) && Sequence32.isAtOrBefore(acknowledgement, limit)
  }

  /// RFC 9293 section 3.8.4: one octet, or none, from before what was sent.
  private mutating func isKeepAlive(_ segment: TCPSegment) -> Bool {
    segment.payloadLength <= 1 && !segment.has(TCPFields.fin)
      && segment.tcp.sequence == sender(segment.direction).nextSequence &- 1
      && state == .established
  }

  /// A window that shrinks by more than was sent, for data nobody saw.
  private mutating func isBadWindowUpdate(_ segment: TCPSegment) -> Bool {
    guard segment.has(TCPFields.ack), !segment.has(TCPFields.fin), !isOneSided else { return false }
    let end = sender(segment.direction)
    let peer = sender(segment.direction.opposite)
    let offered = scaledWindow(segment)
    guard offered < end.windowBytes, end.windowBytes &- offered > segment.payloadLength else {
      return false
    }
    return Sequence32.isBefore(peer.nextSequence, segment.tcp.acknowledgement)
      && Sequence32.isBefore(end.nextSequence, segment.tcp.sequence)
  }

  private mutating func isInWindow(_ segment: TCPSegment, _ result: inout TCPTrackResult) -> Bool {
    if isOneSided { return true }
    let end = sender(segment.direction)
    if Sequence32.isBefore(segment.payloadEnd, end.acknowledgedByPeer) {
      // All of it was acknowledged: sent again, or an old ACK.
      if segment.payloadLength > 0 {
        result.flags.insert(.retransmission)
        result.events.insert(.packetSpuriousRetransmission)
      } else {
        result.events.insert(
          state == .closeWait ? .closeWaitPacketBeforeLastAck : .establishedPacketBeforeLastAck)
      }
      return false
    }
    if end.hasSentFIN, Sequence32.isBefore(end.finSequence, segment.payloadEnd),
      segment.payloadLength > 0 || segment.payloadEnd != end.finSequence &+ 1
    {
      refuseOutOfWindow(segment, &result)
      return false
    }
    // A closed window is probed with one octet (RFC 9293 section 3.8.6.1).
    let isProbe = segment.payloadLength == 1 && segment.tcp.sequence == end.windowEnd
    guard Sequence32.isAtOrBefore(segment.payloadEnd, end.windowEnd) || isProbe else {
      refuseOutOfWindow(segment, &result)
      return false
    }
    return true
  }

  private mutating func refuseOutOfWindow(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    result.flags.insert(.outOfWindow)
    let isFIN = segment.has(TCPFields.fin)
    switch state {
    case .none, .synSent, .synReceived, .closed, .established:
      result.refuse(isFIN ? .finOutOfWindow : .establishedPacketOutOfWindow)
    case .finWait1: result.refuse(isFIN ? .finWait1FinWrongSequence : .finWait1AckWrongSequence)
    case .finWait2: result.refuse(isFIN ? .finWait2FinWrongSequence : .finWait2AckWrongSequence)
    case .closeWait: result.refuse(isFIN ? .closeWaitFinOutOfWindow : .closeWaitAckOutOfWindow)
    case .closing: result.refuse(.closingAckWrongSequence)
    case .lastAck: result.refuse(.lastAckAckWrongSequence)
    case .timeWait: result.refuse(.timeWaitAckWrongSequence)
    }
  }

  private mutating func invalidAckEvent(_ segment: TCPSegment) -> StreamEvent {
    switch state {
    case .none, .synSent, .synReceived, .closed, .established:
      segment.has(TCPFields.fin) ? .finInvalidAck : .establishedInvalidAck
    case .finWait1: .finWait1InvalidAck
    case .finWait2: .finWait2InvalidAck
    case .closeWait: .closeWaitInvalidAck
    case .closing: .closingInvalidAck
    case .lastAck: .lastAckInvalidAck
    case .timeWait: .timeWaitInvalidAck
    }
  }

  // MARK: Effects

  private mutating func noteRetransmission(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    guard segment.payloadLength > 0 else { return }
    let end = sender(segment.direction)
    if Sequence32.isAtOrBefore(segment.payloadEnd, end.acknowledgedByPeer) {
      result.flags.insert(.retransmission)
      result.events.insert(.packetSpuriousRetransmission)
    } else if Sequence32.isBefore(segment.tcp.sequence, end.acknowledgedByPeer)
      || Sequence32.isAtOrBefore(segment.payloadEnd, end.nextSequence)
    {
      result.flags.insert(.retransmission)
      // While a connection is open this is daily business.
      if state != .established { result.events.insert(.packetRetransmission) }
    }
  }

  private mutating func scaledWindow(_ segment: TCPSegment) -> UInt32 {
    let shift = sender(segment.direction).windowScale
    return UInt32(segment.tcp.window) << UInt32(shift == 255 ? 0 : min(shift, 14))
  }

  /// Takes the acknowledgement and the window that a segment carries.
  private mutating func acknowledge(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    guard segment.has(TCPFields.ack) else { return }
    let window = scaledWindow(segment)
    let acknowledgement = segment.tcp.acknowledgement
    withEnd(segment.direction) { $0.windowBytes = window }
    withEnd(segment.direction.opposite) { peer in
      if !peer.isKnown { peer.begin(midstream: acknowledgement) }
      peer.acknowledgedByPeer = Sequence32.later(peer.acknowledgedByPeer, acknowledgement)
      peer.windowEnd = Sequence32.later(peer.windowEnd, acknowledgement &+ window)
      // What is acknowledged was sent, seen or not.
      peer.advance(to: acknowledgement)
    }
  }

  private mutating func takePayload(_ segment: TCPSegment) {
    let isOneSided = isOneSided
    withEnd(segment.direction) { end in
      // RFC 7323 section 4.3: only what is next renews the timestamp, so that reordering is no crime.
      if segment.tcp.hasTimestamp, end.hasTimestamps,
        Sequence32.isAtOrBefore(segment.tcp.sequence, end.nextSequence)
      {
        end.timestamp = segment.tcp.timestampValue
        end.timestampSeconds = segment.seconds
      }
      end.advance(to: segment.payloadEnd)
      if isOneSided { end.windowEnd = Sequence32.later(end.windowEnd, end.nextSequence &+ 65_535) }
    }
    if segment.payloadLength > 0 { isConfirmed = true }
  }

  private mutating func advanceClosing(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    let isFIN = segment.has(TCPFields.fin)
    if isFIN {
      withEnd(segment.direction) { end in
        if end.hasSentFIN { return }
        end.hasSentFIN = true
        end.finSequence = segment.payloadEnd
        end.nextSequence = Sequence32.later(end.nextSequence, segment.payloadEnd &+ 1)
      }
    }
    // One packet may both acknowledge a FIN and bring one, hence more than one step.
    for _ in 0..<3 where !stepClosing(&result) { break }
  }

  /// - Returns: whether the state changed.
  private mutating func stepClosing(_ result: inout TCPTrackResult) -> Bool {
    let before = state
    switch state {
    case .none, .synSent, .synReceived, .closed: break
    case .established:
      if client.hasSentFIN { state = .closeWait } else if server.hasSentFIN { state = .finWait1 }
    case .closeWait: if server.hasSentFIN { state = .lastAck }
    case .lastAck: if server.isFINAcknowledged { state = .closed }
    case .finWait1:
      if client.hasSentFIN {
        state = server.isFINAcknowledged ? .timeWait : .closing
      } else if server.isFINAcknowledged {
        state = .finWait2
      }
    case .finWait2: if client.hasSentFIN { state = .timeWait }
    case .closing: if server.isFINAcknowledged { state = .timeWait }
    case .timeWait: if client.isFINAcknowledged { state = .closed }
    }
    if state == .closed, before != .closed { result.flags.insert(.sessionEnded) }
    return state != before
  }

  private mutating func trackLateSyn(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    guard state == .established else { return result.refuse(.shutdownSynResend) }
    let isAnswer = segment.has(TCPFields.ack)
    switch (segment.direction, isAnswer) {
    case (.toServer, true): result.refuse(.establishedSynAckToServer)
    case (.toClient, false): result.refuse(.establishedSynToClient)
    case (.toClient, true):
      if Sequence32.isBefore(client.nextSequence, segment.tcp.acknowledgement)
        || Sequence32.isAtOrBefore(segment.tcp.acknowledgement, client.initialSequence)
      {
        result.refuse(.establishedSynAckResendWithDifferentAck)
      } else if segment.tcp.sequence != server.initialSequence {
        result.refuse(.establishedSynAckResendWithDifferentSequence)
      } else if isConfirmed {
        result.refuse(.establishedSynAckResend)
      } else {
        // The client's ACK was lost on its way to the server.
        result.flags.insert(.retransmission)
      }
    case (.toServer, false):
      if segment.tcp.sequence != client.initialSequence {
        result.refuse(.establishedSynResendDifferentSequence)
      } else if isConfirmed {
        result.refuse(.establishedSynResend)
      } else {
        result.flags.insert(.retransmission)
      }
    }
  }

  /// RFC 5961 section 3: a RST must hit the next octet the receiver expects. It lies between what
  /// the receiver acknowledged and what was sent. One with a signature is not believed: the receiver
  /// ignores it when the key is wrong or there is none, which cannot be told from here.
  private mutating func trackReset(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    guard !segment.tcp.hasSignature else { return result.refuse() }
    guard isTimestampRight(segment) else { return result.refuse(.packetInvalidTimestamp) }
    if segment.payloadLength > 0 { result.events.insert(.rstWithData) }
    let end = sender(segment.direction)
    let sequence = segment.tcp.sequence
    let isExpected = !end.isKnown || isOneSided
      || (Sequence32.isAtOrBefore(end.acknowledgedByPeer, sequence)
        && Sequence32.isAtOrBefore(sequence, end.nextSequence))
    guard isExpected else { return result.refuse() }
    guard isAcknowledgementRight(segment) || segment.tcp.acknowledgement == 0 else {
      return result.refuse(.rstInvalidAck)
    }
    close(segment, &result)
  }

  mutating func close(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    withEnd(segment.direction) { $0.hasSentRST = true }
    state = .closed
    result.flags.formUnion([.accepted, .sessionEnded])
  }

  @inline(__always)
  mutating func withEnd(_ direction: Direction, _ body: (inout TCPEnd) -> Void) {
    if direction == .toServer { body(&client) } else { body(&server) }
  }
}
