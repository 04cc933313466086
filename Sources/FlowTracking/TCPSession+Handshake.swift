import PacketDecoding
import Traffic

extension TCPSession {
  /// The first packet of a connection that is seen.
  mutating func trackFirst(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    if segment.has(TCPFields.rst) {
      result.events.insert(.rstButNoSession)
      result.flags.insert(.noSession)
      if settings.refusesEndsWithoutSession { result.refuse() }
    } else if segment.has(TCPFields.syn) {
      if segment.has(TCPFields.ack) {
        pickUpSynAck(segment, settings, &result)
      } else {
        beginWithSyn(segment, &result)
      }
    } else if segment.has(TCPFields.fin) {
      result.events.insert(.finButNoSession)
      result.flags.insert(.noSession)
      if settings.refusesEndsWithoutSession { result.refuse() }
    } else if segment.has(TCPFields.ack), settings.midstream || settings.asyncOneside || mayBePickedUp {
      pickUp(segment, settings, &result)
    } else {
      result.flags.insert(.noSession)
    }
  }

  private mutating func beginWithSyn(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    client.begin(segment.tcp, segment.payloadLength, segment.seconds)
    isFastOpen = segment.tcp.hasFastOpen && segment.payloadLength > 0
    firstSynTimestamp = segment.tcp.timestampValue
    state = .synSent
    result.flags.formUnion([.accepted, .sessionStarted])
  }

  private mutating func pickUpSynAck(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    guard settings.midstream || settings.asyncOneside else {
      result.flags.insert(.noSession)
      return
    }
    server.begin(segment.tcp, segment.payloadLength, segment.seconds)
    client.begin(midstream: segment.tcp.acknowledgement)
    client.windowEnd = segment.tcp.acknowledgement &+ UInt32(segment.tcp.window)
    // The client's answer will show whether it scales; without its SYN assume what the server offers.
    client.windowScale = server.windowScale
    client.hasTimestamps = server.hasTimestamps
    isMidstream = true
    state = .synReceived
    result.flags.formUnion([.accepted, .sessionStarted, .midstreamPickup])
  }

  private mutating func pickUp(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    var own = TCPEnd()
    own.begin(midstream: segment.tcp.sequence)
    own.nextSequence = segment.payloadEnd
    own.windowEnd = segment.payloadEnd &+ UInt32(UInt16.max)
    own.hasTimestamps = segment.tcp.hasTimestamp
    own.timestamp = segment.tcp.timestampValue
    own.timestampSeconds = segment.seconds
    own.windowBytes = UInt32(segment.tcp.window) << 14
    var peer = TCPEnd()
    peer.begin(midstream: segment.tcp.acknowledgement)
    peer.windowEnd = segment.tcp.acknowledgement &+ own.windowBytes
    peer.hasTimestamps = segment.tcp.hasTimestamp
    peer.timestamp = segment.tcp.timestampEcho
    peer.timestampSeconds = segment.seconds
    client = segment.direction == .toServer ? own : peer
    server = segment.direction == .toServer ? peer : own
    isMidstream = true
    isConfirmed = true
    // Not known whether the other side will be seen; with async-oneside do not wait for it until it is.
    isOneSided = settings.asyncOneside
    if isOneSided, settings.midstream { onlySideSeen = segment.direction }
    state = .established
    result.flags.formUnion([.accepted, .sessionStarted, .midstreamPickup, .handshakeCompleted])
  }

  /// A SYN was seen; legal: SYN/ACK of the server, RST, the SYN again, a SYN of the server.
  mutating func trackSynSent(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    // The server still has the connection before this one, and says so with its numbers and times; the client will reset that.
    if settings.renewsSessions, segment.direction == .toClient, segment.isBareAcknowledgement { return }
    if segment.direction == .toClient, !echoesSynTimestamp(segment.tcp) {
      return result.refuse(.packetInvalidTimestamp)
    }
    if segment.has(TCPFields.rst) {
      // A client's system answers what somebody forged with a RST of its own; the server, which
      // has not spoken yet, knows better than to believe that the SYN is taken back.
      if segment.direction == .toServer { return }
      return resetHandshake(segment, &result)
    }
    let isSyn = segment.has(TCPFields.syn)
    let isAck = segment.has(TCPFields.ack)
    if isSyn, isAck {
      takeSynAck(segment, settings, &result)
    } else if isSyn {
      takeFurtherSyn(segment, settings, &result)
    } else if isAck, segment.direction == .toServer {
      takeAckWithoutSynAck(segment, settings, &result)
    } else {
      result.refuse()
    }
  }

  /// RFC 7323 section 3.2: the answer echoes a timestamp that one of the SYNs carried. Hosts drop a
  /// RST or FIN that does not; 0 stands for none. A SYN/ACK is let through as Suricata does: not all
  /// systems check it, and the client's ACK tells which one it took.
  private func echoesSynTimestamp(_ tcp: TCPFields) -> Bool {
    if tcp.has(TCPFields.syn) { return true }
    guard tcp.hasTimestamp, tcp.timestampEcho != 0, !isFourWay else { return true }
    guard client.hasTimestamps else { return false }
    return Sequence32.isAtOrBefore(firstSynTimestamp, tcp.timestampEcho)
      && Sequence32.isAtOrBefore(tcp.timestampEcho, client.timestamp)
  }

  private mutating func takeSynAck(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    if segment.direction == .toServer {
      return takeFourWaySynAck(segment, &result)
    }
    if !acknowledgesSyn(segment.tcp.acknowledgement) {
      guard let other = synOffers.answered(by: segment.tcp.acknowledgement) else {
        return result.refuse(.handshakeSynAckWithWrongAck)
      }
      client.begin(other, 0, segment.seconds)
    }
    if isFastOpen, segment.tcp.acknowledgement == client.initialSequence &+ 1 {
      result.events.insert(.handshakeSynAckFastOpenDataIgnored)
      client.nextSequence = client.initialSequence &+ 1
      isFastOpen = false
    } else if segment.tcp.acknowledgement == client.initialSequence &+ 1 {
      // Data on a plain SYN was not taken; it will be sent again.
      client.nextSequence = client.initialSequence &+ 1
    }
    adoptSynAck(segment.tcp, segment.payloadLength, segment.seconds)
    state = .synReceived
    result.flags.insert(.accepted)
  }

  /// The sequence numbers that a SYN/ACK may acknowledge: the SYN, or with it the data it carried.
  private func acknowledgesSyn(_ acknowledgement: UInt32) -> Bool {
    acknowledgement == client.initialSequence &+ 1 || acknowledgement == client.nextSequence
  }

  private mutating func adoptSynAck(_ tcp: TCPFields, _ payloadLength: UInt32, _ seconds: Int64) {
    server.begin(tcp, payloadLength, seconds)
    client.acknowledgedByPeer = Sequence32.later(client.initialSequence &+ 1, tcp.acknowledgement)
    if client.windowScale == 255 || server.windowScale == 255 {
      client.windowScale = 255
      server.windowScale = 255
    }
    if !(client.hasTimestamps && server.hasTimestamps) {
      client.hasTimestamps = false
      server.hasTimestamps = false
    }
    // The windows of SYNs are never scaled (RFC 7323 section 2.2).
    client.windowEnd = Sequence32.later(
      client.nextSequence, client.acknowledgedByPeer &+ server.windowBytes)
    server.windowEnd = server.initialSequence &+ 1 &+ client.windowBytes
  }

  private mutating func takeFourWaySynAck(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    guard isFourWay else { return result.refuse(.handshakeSynAckInWrongDirection) }
    guard segment.tcp.acknowledgement == server.initialSequence &+ 1 else {
      return result.refuse(.fourWaySynAckWithWrongAck)
    }
    guard segment.tcp.sequence == client.initialSequence else {
      return result.refuse(.fourWaySynAckWithWrongSyn)
    }
    server.acknowledgedByPeer = segment.tcp.acknowledgement
    server.windowEnd = segment.tcp.acknowledgement &+ UInt32(segment.tcp.window)
    client.windowEnd = client.initialSequence &+ 1 &+ server.windowBytes
    state = .synReceived
    result.flags.insert(.accepted)
  }

  private mutating func takeFurtherSyn(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    if segment.direction == .toClient {
      server.begin(segment.tcp, 0, segment.seconds)
      isFourWay = true
      result.flags.insert(.accepted)
    } else if segment.tcp.sequence == client.initialSequence {
      if segment.tcp.hasTimestamp, client.hasTimestamps {
        client.timestamp = segment.tcp.timestampValue
      }
      result.flags.formUnion([.accepted, .retransmission])
    } else {
      // Which of them the server takes is seen from its answer.
      var old = TCPFields()
      old.sequence = client.initialSequence
      old.window = UInt16(clamping: client.windowBytes)
      old.maximumSegmentSize = client.maximumSegmentSize
      old.windowScale = client.windowScale
      old.sackPermitted = client.sackPermitted
      old.hasTimestamp = client.hasTimestamps
      old.timestampValue = client.timestamp
      synOffers.add(old)
      if synOffers.count > settings.synQueuedMax { result.events.insert(.handshakeSynFlood) }
      client.begin(segment.tcp, segment.payloadLength, segment.seconds)
      isFastOpen = segment.tcp.hasFastOpen && segment.payloadLength > 0
      result.flags.insert(.accepted)
    }
  }

  private mutating func takeAckWithoutSynAck(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    // Without the setting this is a session whose answer was lost: neither followed nor broken.
    guard settings.asyncOneside else { return }
    guard segment.tcp.sequence == client.nextSequence else {
      return result.refuse(.handshakeAsyncWrongSequence)
    }
    server.begin(midstream: segment.tcp.acknowledgement)
    server.windowEnd = segment.tcp.acknowledgement &+ UInt32(segment.tcp.window) << 14
    client.nextSequence = segment.payloadEnd
    client.windowEnd = segment.payloadEnd &+ UInt32(UInt16.max)
    isOneSided = true
    isMidstream = true
    isConfirmed = true
    state = .established
    result.flags.formUnion([.accepted, .handshakeCompleted])
  }

  /// The SYN/ACK was seen; legal: the ACK of the client, RST, either of the former again.
  mutating func trackSynReceived(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    if segment.has(TCPFields.rst) { return resetHandshake(segment, &result) }
    if segment.has(TCPFields.syn) {
      if segment.has(TCPFields.ack) {
        repeatSynAck(segment, settings, &result)
      } else {
        repeatSyn(segment, &result)
      }
    } else if segment.has(TCPFields.ack) {
      if segment.direction == .toServer {
        takeHandshakeAck(segment, settings, &result)
      } else {
        takeServerAck(segment, settings, &result)
      }
    } else {
      result.refuse()
    }
  }

  private mutating func repeatSynAck(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    if segment.direction == .toServer {
      // In a simultaneous open both ends send a SYN/ACK.
      guard isFourWay, segment.tcp.sequence == client.initialSequence,
        segment.tcp.acknowledgement == server.initialSequence &+ 1
      else { return result.refuse(.handshakeSynAckToServerOnSynReceived) }
      result.flags.insert(.accepted)
    } else if !acknowledgesSyn(segment.tcp.acknowledgement) {
      result.refuse(.handshakeSynAckResendWithDifferentAck)
    } else if segment.tcp.sequence == server.initialSequence {
      result.flags.formUnion([.accepted, .retransmission])
    } else {
      result.events.insert(.handshakeSynAckResendWithDifferentSequence)
      synAckOffers.add(segment.tcp)
      if synAckOffers.count > settings.synAckQueuedMax {
        result.refuse(.handshakeSynAckFlood)
      }
    }
  }

  private mutating func repeatSyn(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    if segment.direction == .toClient {
      result.refuse(.handshakeSynToClientOnSynReceived)
    } else if segment.tcp.sequence != client.initialSequence {
      result.refuse(.handshakeSynResendDifferentSequenceOnSynReceived)
    } else {
      result.flags.formUnion([.accepted, .retransmission])
    }
  }

  private mutating func takeHandshakeAck(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    if segment.tcp.acknowledgement != server.initialSequence &+ 1,
      let other = synAckOffers.answered(by: segment.tcp.acknowledgement)
    {
      var tcp = other
      tcp.acknowledgement = client.initialSequence &+ 1
      adoptSynAck(tcp, 0, segment.seconds)
    }
    let isAckRight = Sequence32.isBefore(server.initialSequence, segment.tcp.acknowledgement)
      && Sequence32.isAtOrBefore(segment.tcp.acknowledgement, server.nextSequence)
    // Data may come before a lost ACK, so anything inside the window will do.
    let isSequenceRight =
      Sequence32.isBefore(client.initialSequence, segment.tcp.sequence)
      && Sequence32.isAtOrBefore(segment.payloadEnd, client.windowEnd)
    guard isAckRight, isSequenceRight else {
      if isFourWay {
        return result.refuse(isAckRight ? .fourWayWrongSequence : .fourWayInvalidAck)
      }
      return result.refuse(
        isSequenceRight && segment.tcp.sequence == client.nextSequence
          ? .handshakeRightSequenceWrongAckEvasion : .handshakeWrongSequenceWrongAck)
    }
    establish(&result)
    trackOpen(segment, settings, &result)
  }

  private mutating func takeServerAck(
    _ segment: TCPSegment, _ settings: TCPSessionSettings, _ result: inout TCPTrackResult
  ) {
    let isRight = acknowledgesSyn(segment.tcp.acknowledgement)
      && segment.tcp.sequence == server.nextSequence
    if settings.asyncOneside, segment.tcp.sequence == server.nextSequence {
      // The client is not seen at all; the server says how far it has come.
      isOneSided = true
      establish(&result)
      return trackOpen(segment, settings, &result)
    }
    if isFourWay, isRight, segment.payloadLength == 0 {
      // The client's SYN/ACK is answered by the server: the split handshake is complete.
      establish(&result)
      trackOpen(segment, settings, &result)
    } else if !isRight || (segment.payloadLength == 0 && !segment.has(TCPFields.fin)) {
      if isFourWay {
        return result.refuse(
          segment.tcp.sequence == server.nextSequence ? .fourWayInvalidAck : .fourWayWrongSequence)
      }
      result.refuse(.handshakeAckInWrongDirection)
    } else if settings.isInline, !isFastOpen, !isMidstream, !isFourWay {
      // Nothing passes this point unseen, so the client has not yet acknowledged the SYN/ACK and
      // a server has no reason to send; data injected here would be taken by some inspectors only.
      result.refuse(.handshakeAckDataInject)
    } else {
      // The client's ACK was lost before the capture.
      establish(&result)
      trackOpen(segment, settings, &result)
    }
  }

  private mutating func establish(_ result: inout TCPTrackResult) {
    state = .established
    result.flags.insert(.handshakeCompleted)
  }

  /// RFC 9293 section 3.10.7.3: a RST that answers a SYN must acknowledge it.
  private mutating func resetHandshake(_ segment: TCPSegment, _ result: inout TCPTrackResult) {
    let isRight: Bool
    if segment.direction == .toClient {
      isRight = segment.has(TCPFields.ack)
        ? acknowledgesSyn(segment.tcp.acknowledgement)
        : server.isKnown && segment.tcp.sequence == server.nextSequence
    } else {
      isRight = segment.tcp.sequence == client.nextSequence
        || segment.tcp.sequence == client.initialSequence &+ 1
        || segment.tcp.sequence == client.initialSequence
    }
    guard isRight else { return result.refuse(.rstInvalidAck) }
    close(segment, &result)
  }
}
