import FlowTracking
import PacketDecoding
import TestSupport
import Testing
import Traffic

@Test func aConnectionRunsThroughItsStates() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake()
  talk.send(.toServer, "GET / HTTP/1.1\r\n\r\n")
  talk.send(.toClient, "HTTP/1.1 200 OK\r\n\r\n")
  talk.fin()
  let answers = scene.play(talk)
  #expect(answers.allSatisfy { $0.tcp.isAccepted && $0.tcp.events.isEmpty })
  #expect(answers[2].tcp.isHandshakeCompleted && answers[2].tcp.isEstablished)
  #expect(!answers[1].tcp.isEstablished)
  #expect(answers[answers.count - 1].tcp.isSessionEnded)
  let index = answers[0].index
  #expect(scene.table.session(index).state == .closed)
  #expect(scene.table[index].state == .closed)
}

@Test func eitherSideMayCloseFirst() {
  for (side, states) in [
    (Direction.toServer, [TCPState.closeWait, .lastAck, .closed]),
    (Direction.toClient, [TCPState.finWait1, .timeWait, .closed]),
  ] {
    var scene = Scene()
    var talk = TCPConversation()
    talk.handshake()
    talk.fin(from: side)
    let index = scene.play(talk)[0].index
    #expect(scene.table.session(index).state == .closed)
    var again = Scene()
    var seen: [TCPState] = []
    for packet in talk.packets {
      let place = again.track(packet).index
      seen.append(again.table.session(place).state)
    }
    #expect(Array(seen.suffix(3)) == states)
  }
}

@Test func bothSidesMayCloseAtOnce() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake()
  talk.emit(.toClient, [.fin, .ack])
  // The client has not seen the FIN: it acknowledges nothing of it.
  talk.emit(.toServer, [.fin, .ack])
  _ = scene.play(talk)
  let fed = talk.packets.count
  talk.nextSequence[0] &+= 1
  talk.nextSequence[1] &+= 1
  talk.emit(.toServer, [.ack])
  talk.emit(.toClient, [.ack])
  let index = scene.play(talk, from: fed)[0].index
  #expect(scene.table.session(index).state == .closed)
}

@Test func sequenceNumbersMayWrap() {
  var scene = Scene()
  var talk = TCPConversation(clientSequence: 0xffff_fff0, serverSequence: 0xffff_fffe)
  talk.handshake()
  talk.send(.toServer, String(repeating: "a", count: 3000))
  talk.send(.toClient, String(repeating: "b", count: 3000))
  talk.fin()
  let answers = scene.play(talk)
  #expect(answers.allSatisfy { $0.tcp.isAccepted && $0.tcp.events.isEmpty })
  #expect(scene.table.session(answers[0].index).state == .closed)
}

@Test func `a connection may carry more than sequence numbers count, and still believes no acknowledgement from before it`() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake(clientOptions: [.windowScale(14)], serverOptions: [.windowScale(14)])
  talk.send(.toServer, "hello")
  // 6 GB in steps that a window of 1 GB allows; half of what the numbers can tell apart is passed at the fifth.
  for _ in 0..<12 {
    talk.lose(.toServer, octets: 500_000_000)
    talk.send(.toServer, "more")
  }
  let answers = scene.play(talk)
  #expect(answers.allSatisfy { $0.tcp.isAccepted && $0.tcp.events.isEmpty })
  let fed = talk.packets.count
  talk.nextSequence[Direction.toServer.index] &-= 1_900_000_000
  talk.emit(.toClient, [.ack])
  #expect(scene.play(talk, from: fed).allSatisfy { $0.tcp.isInvalid })
}

/// A client whose connection was cut opens another from the same port, and the server still has the old one.
private func renewed(_ settings: (inout FlowTableSettings) -> Void, dropped: Bool) -> (answers: [FlowLookup], state: TCPState) {
  var scene = Scene(settings)
  var talk = TCPConversation()
  let times = TCPOption.timestamps(value: 5_000_000, echo: 0)
  talk.handshake(clientOptions: [times], serverOptions: [times])
  talk.send(.toServer, "hello")
  let first = scene.play(talk)
  var fed = talk.packets.count
  let old = talk.nextSequence
  var answers: [FlowLookup] = []
  if dropped { scene.table[first[0].index].disposition = .drop }
  func step(_ body: (inout TCPConversation) -> Void) {
    body(&talk)
    for packet in talk.packets.dropFirst(fed) {
      var lookup = scene.track(packet)
      if lookup.outcome == .supersedes {
        scene.table.remove(lookup.index, reason: lookup.endReason)
        lookup = scene.track(packet)
      }
      answers.append(lookup)
    }
    fed = talk.packets.count
  }
  // SYN with another number; the server's challenge; the client's RST; the SYN again, and the rest.
  talk.nextSequence = [700_000, 0]
  step { $0.emit(.toServer, [.syn], options: [.timestamps(value: 9_000_000, echo: 0)]) }
  talk.nextSequence = old
  step { $0.emit(.toClient, [.ack], options: [.timestamps(value: 6_000_000, echo: 5_000_000)]) }
  step { $0.emit(.toServer, [.rst]) }
  talk.nextSequence = [700_000, 9_000_000]
  let again = TCPOption.timestamps(value: 9_001_000, echo: 0)
  step { $0.handshake(clientOptions: [again], serverOptions: [.timestamps(value: 7_000_000, echo: 9_001_000)]) }
  step { $0.send(.toServer, "again") }
  return (answers, scene.table.session(answers[answers.count - 1].index).state)
}

@Test func `a client that was cut off may come back from the same port, though the server has the old connection`() {
  for dropped in [true, false] {
    let live = renewed({ $0.tcp.renewsSessions = true }, dropped: dropped)
    #expect(live.answers.allSatisfy { !$0.tcp.isInvalid })
    #expect(live.state == .established)
    let stored = renewed({ _ in }, dropped: dropped)
    #expect(stored.answers[0].tcp.isInvalid)
  }
}

@Test func aResetMustHitTheWindowEdge() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake()
  talk.send(.toServer, "hello")
  // Somewhere in the window but not next: hosts answer this with a challenge, not with an end.
  talk.emit(.toClient, [.rst], sequence: talk.nextSequence[1] &+ 100)
  talk.rst(from: .toClient)
  let answers = scene.play(talk)
  #expect(answers[5].tcp.isInvalid && !answers[5].tcp.isSessionEnded)
  #expect(answers[6].tcp.isSessionEnded)
  #expect(scene.table.session(answers[0].index).state == .closed)
}

@Test func whoGoesOnAfterAResetRaisesSuspicion() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.acknowledges = false
  talk.handshake()
  talk.rst(from: .toClient)
  talk.send(.toServer, "still here")
  let last = scene.play(talk)[4]
  #expect(last.tcp.eventNames == ["suspected_rst_inject"])
  #expect(!last.tcp.isAccepted)
}

@Test func withoutItsHandshakeAConnectionIsPickedUpOnlyWhereAskedFor() {
  for midstream in [false, true] {
    var scene = Scene { $0.tcp.midstream = midstream }
    var talk = TCPConversation()
    talk.send(.toServer, "GET / HTTP/1.1\r\n\r\n")
    talk.send(.toClient, "HTTP/1.1 200 OK\r\n\r\n")
    let answers = scene.play(talk)
    #expect(answers.allSatisfy { $0.tcp.isAccepted == midstream })
    #expect(answers[0].tcp.flags.contains(.midstreamPickup) == midstream)
    #expect(answers[0].tcp.flags.contains(.noSession) == !midstream)
    #expect(scene.table[answers[0].index].isMidstream == midstream)
  }
}

@Test func whoAnswersASynThatWasNotSeenIsTheServer() {
  var scene = Scene { $0.tcp.midstream = true }
  var talk = TCPConversation()
  talk.handshake()
  talk.send(.toServer, "hello")
  let answers = scene.play(talk, from: 1)
  #expect(answers[0].direction == .toClient)
  #expect(scene.table[answers[0].index].tuple.source == talk.client)
  #expect(answers.allSatisfy { $0.tcp.isAccepted })
  #expect(answers[1].tcp.isHandshakeCompleted)
}

@Test func aOneSidedConnectionIsFollowedWhereAskedFor() {
  var scene = Scene { $0.tcp.asyncOneside = true }
  var talk = TCPConversation()
  talk.handshake()
  for _ in 0..<20 { talk.send(.toServer, String(repeating: "x", count: 1000)) }
  talk.nextSequence[1] = 5001
  var accepted = 0
  for packet in talk.packets {
    // Only what the client sends.
    let decoded = PacketDecoder().decode(packet.bytes.rawSpan, link: .ethernet, time: packet.time)
    guard decoded.source == talk.client else { continue }
    let result = scene.track(packet).tcp
    #expect(result.events.isEmpty)
    if result.isAccepted { accepted += 1 }
  }
  #expect(accepted == 22)
}

@Test func dataBeyondTheWindowIsRefused() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.window = 1000
  talk.handshake(clientOptions: [], serverOptions: [])
  talk.inject(.toServer, [1, 2, 3], offset: 998)
  talk.inject(.toServer, [1, 2, 3], offset: 997)
  let answers = scene.play(talk)
  #expect(answers[3].tcp.isOutOfWindow && !answers[3].tcp.isAccepted)
  #expect(answers[3].tcp.eventNames == ["est_packet_out_of_window"])
  #expect(answers[4].tcp.isAccepted && answers[4].tcp.events.isEmpty)
}

@Test func windowsAreScaledOnceTheHandshakeIsOver() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.window = 1000
  talk.handshake(
    clientOptions: [.windowScale(4)], serverOptions: [.windowScale(5)])
  talk.send(.toClient, "x")
  let index = scene.play(talk)[0].index
  let session = scene.table.session(index)
  #expect(session.client.windowBytes == 16_000)
  #expect(session.server.windowBytes == 32_000)
  #expect(session.server.windowEnd == session.server.nextSequence &+ 16_000)
}

@Test func aScaleThatOneSideDidNotAskForIsNotUsed() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.window = 1000
  talk.handshake(clientOptions: [.windowScale(4)], serverOptions: [])
  let index = scene.play(talk)[0].index
  #expect(scene.table.session(index).client.windowBytes == 1000)
}

@Test func oldTimestampsAreRefused() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake(
    clientOptions: [.timestamps(value: 1000, echo: 0)],
    serverOptions: [.timestamps(value: 9000, echo: 1000)])
  talk.emit(.toServer, [.ack, .psh], options: [.timestamps(value: 1005, echo: 9000)], payload: [65])
  talk.nextSequence[0] &+= 1
  talk.emit(.toServer, [.ack, .psh], options: [.timestamps(value: 900, echo: 9000)], payload: [66])
  let answers = scene.play(talk)
  #expect(answers[3].tcp.isAccepted)
  #expect(answers[4].tcp.eventNames == ["pkt_invalid_timestamp"])
  #expect(!answers[4].tcp.isAccepted)
}

@Test func anAnswerToASynMustEchoItsTimestamp() {
  for (echo, isRight) in [(UInt32(1000), true), (1005, true), (0, true), (999, false), (1006, false)] {
    var scene = Scene()
    var talk = TCPConversation()
    talk.syn(options: [.timestamps(value: 1000, echo: 0)])
    // Sent again five ticks later.
    talk.emit(.toServer, [.syn], options: [.timestamps(value: 1005, echo: 0)], sequence: 1000)
    talk.emit(.toClient, [.rst, .ack], options: [.timestamps(value: 100, echo: echo)], sequence: 0)
    let last = scene.play(talk)[2].tcp
    #expect(last.isSessionEnded == isRight)
    #expect(last.eventNames == (isRight ? [] : ["pkt_invalid_timestamp"]))
  }
  // And there is nothing to echo where the SYN had none.
  var scene = Scene()
  var talk = TCPConversation()
  talk.syn()
  talk.emit(.toClient, [.rst, .ack], options: [.timestamps(value: 100, echo: 100)])
  #expect(scene.play(talk)[1].tcp.eventNames == ["pkt_invalid_timestamp"])
  // A SYN/ACK is taken all the same.
  talk.emit(.toClient, [.syn, .ack], options: [.timestamps(value: 100, echo: 100)])
  #expect(scene.play(talk, from: 2)[0].tcp.isAccepted)
}

@Test func aForgedAnswerAndTheClientsResetToItEndNothing() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.syn(options: [.timestamps(value: 1000, echo: 0)])
  talk.emit(.toClient, [.rst, .ack], options: [.timestamps(value: 100, echo: 100)], sequence: 0)
  talk.emit(.toServer, [.rst])
  talk.emit(.toClient, [.syn, .ack])
  talk.nextSequence[1] &+= 1
  talk.emit(.toServer, [.ack])
  #expect(scene.play(talk)[4].tcp.isHandshakeCompleted)
}

@Test func aServerSeenAloneIsFollowedWhereAskedFor() {
  var scene = Scene { $0.tcp.asyncOneside = true }
  var talk = TCPConversation()
  talk.acknowledges = false
  talk.handshake()
  talk.nextSequence[0] &+= 396
  talk.emit(.toClient, [.ack])
  talk.send(.toClient, "HTTP/1.1 200 OK")
  for (index, packet) in talk.packets.enumerated() where ![0, 2].contains(index) {
    let lookup = scene.track(packet)
    #expect(lookup.direction == .toClient && lookup.tcp.isAccepted && lookup.tcp.events.isEmpty)
  }
}

@Test func anAcknowledgementOfWhatWasNeverSentIsRefused() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake(clientOptions: [], serverOptions: [])
  talk.nextSequence[1] &+= 200_000
  talk.emit(.toServer, [.ack])
  let last = scene.play(talk)[3]
  #expect(last.tcp.eventNames == ["est_invalid_ack", "pkt_invalid_ack"])
  #expect(last.tcp.isInvalid)
}

@Test func whatIsSentAgainIsToldFromWhatIsNew() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake()
  talk.acknowledges = false
  talk.send(.toServer, "hello")
  talk.inject(.toServer, Array("hello".utf8), offset: -5)
  talk.acknowledges = true
  talk.send(.toServer, "world")
  talk.inject(.toServer, Array("hello".utf8), offset: -10)
  let answers = scene.play(talk)
  #expect(answers[4].tcp.isRetransmission && answers[4].tcp.isAccepted)
  #expect(answers[4].tcp.eventNames.isEmpty)
  #expect(answers[7].tcp.isRetransmission && !answers[7].tcp.isAccepted)
  #expect(
    answers[7].tcp.eventNames == ["pkt_spurious_retransmission"])
}

@Test func keepAlivesCarryNothing() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake()
  talk.send(.toServer, "hello")
  talk.inject(.toServer, [0], offset: -1, flags: [.ack])
  talk.emit(.toClient, [.ack])
  let answers = scene.play(talk)
  #expect(answers[5].tcp.isKeepAlive && !answers[5].tcp.isAccepted && !answers[5].tcp.isInvalid)
  #expect(answers[6].tcp.events.isEmpty)
}

@Test func aWrongChecksumIsIgnoredWhereChecksumsAreVerified() {
  for validation in [true, false] {
    var scene = Scene { $0.tcp.checksumValidation = validation }
    let syn = TCPSegment(from: 1, to: 2, sequence: 5, flags: [.syn]).with { $0.hasBadChecksum = true }
    let lookup = scene.track(IPv4Packet(alice, bob, syn))
    #expect(lookup.tcp.flags.contains(.badChecksum) == validation)
    #expect(scene.table.session(lookup.index).state == (validation ? .none : .synSent))
  }
}

@Test func aNewSynOnAClosedSessionBeginsAnotherFlow() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake()
  talk.fin()
  let old = scene.play(talk)[0].index
  let fed = talk.packets.count
  talk.nextSequence = [77_000, 88_000]
  talk.handshake()
  let syn = scene.track(talk.packets[fed])
  #expect(syn.outcome == .supersedes && syn.endReason == .reuse && syn.index == old)
  scene.table.remove(old, reason: .reuse)
  let answers = scene.play(talk, from: fed)
  #expect(answers[0].outcome == .new)
  #expect(answers[2].tcp.isHandshakeCompleted)
  #expect(scene.table.counters.tcpReused == 1)
}

@Test func aSynSentAgainIsNoReuse() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake()
  talk.fin()
  _ = scene.play(talk)
  let late = scene.track(talk.packets[0])
  #expect(late.outcome == .existing)
  #expect(late.tcp.eventNames == ["shutdown_syn_resend"])
}

@Test func bothEndsMayOpenAtOnce() {
  var scene = Scene { $0.tcp.isInline = true }
  var talk = TCPConversation()
  talk.acknowledges = false
  // The SYNs cross, then the SYN/ACKs do.
  talk.syn()
  talk.emit(.toClient, [.syn])
  talk.nextSequence[1] &+= 1
  talk.emit(.toServer, [.syn, .ack], sequence: 1000)
  talk.emit(.toClient, [.syn, .ack], sequence: 5000)
  talk.send(.toClient, "hello")
  let answers = scene.play(talk)
  #expect(answers.allSatisfy { $0.tcp.isAccepted && $0.tcp.events.isEmpty })
  #expect(answers[4].tcp.isHandshakeCompleted)
}

@Test func theSplitHandshakeIsFollowed() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.syn()
  talk.emit(.toClient, [.syn])
  talk.nextSequence[1] &+= 1
  talk.emit(.toServer, [.syn, .ack], sequence: 1000)
  talk.emit(.toClient, [.ack])
  talk.send(.toServer, "hello")
  let answers = scene.play(talk)
  #expect(answers.allSatisfy { $0.tcp.isAccepted && $0.tcp.events.isEmpty })
  #expect(scene.table.session(answers[0].index).isFourWay)
  #expect(answers[3].tcp.isHandshakeCompleted)
}

@Test func wrongHandshakePacketsAreNamed() {
  func last(_ build: (inout TCPConversation) -> Void) -> TCPTrackResult {
    var scene = Scene()
    var talk = TCPConversation()
    build(&talk)
    let answers = scene.play(talk)
    return answers[answers.count - 1].tcp
  }
  // A SYN/ACK that answers another SYN.
  let wrongAck = last {
    $0.syn()
    $0.nextSequence[0] &+= 9
    $0.emit(.toClient, [.syn, .ack])
  }
  #expect(wrongAck.eventNames == ["3whs_synack_with_wrong_ack"] && wrongAck.isInvalid)
  let wrongWay = last {
    $0.syn()
    $0.emit(.toServer, [.syn, .ack])
  }
  #expect(wrongWay.eventNames == ["3whs_synack_in_wrong_direction"])
  // The right sequence number with a wrong acknowledgement would end the handshake for us only.
  let evasion = last {
    $0.syn()
    $0.emit(.toClient, [.syn, .ack])
    $0.nextSequence[1] &+= 500
    $0.emit(.toServer, [.ack])
  }
  #expect(evasion.eventNames == ["3whs_right_seq_wrong_ack_evasion"] && !evasion.isEstablished)
  let both = last {
    $0.syn()
    $0.emit(.toClient, [.syn, .ack])
    $0.nextSequence[1] &+= 500
    $0.emit(.toServer, [.ack], sequence: 500)
  }
  #expect(both.eventNames == ["3whs_wrong_seq_wrong_ack"])
  let ackToClient = last {
    $0.syn()
    $0.emit(.toClient, [.syn, .ack])
    $0.nextSequence[1] &+= 1
    $0.emit(.toClient, [.ack])
  }
  #expect(ackToClient.eventNames == ["3whs_ack_in_wrong_dir"])
  let otherSyn = last {
    $0.syn()
    $0.emit(.toClient, [.syn, .ack])
    $0.emit(.toServer, [.syn], sequence: 4)
  }
  #expect(otherSyn.eventNames == ["3whs_syn_resend_diff_seq_on_syn_recv"])
  let finNothing = last { $0.emit(.toServer, [.fin, .ack]) }
  #expect(finNothing.eventNames == ["fin_but_no_session"])
  let rstNothing = last { $0.emit(.toServer, [.rst]) }
  #expect(rstNothing.eventNames == ["rst_but_no_session"])
}

@Test func lateSynsAreNamed() {
  func last(_ build: (inout TCPConversation) -> Void) -> [String] {
    var scene = Scene()
    var talk = TCPConversation()
    talk.handshake()
    talk.send(.toServer, "hello")
    build(&talk)
    let answers = scene.play(talk)
    return answers[answers.count - 1].tcp.eventNames
  }
  #expect(last { $0.emit(.toServer, [.syn], sequence: 1000) } == ["est_syn_resend"])
  #expect(last { $0.emit(.toServer, [.syn], sequence: 1) } == ["est_syn_resend_diff_seq"])
  #expect(last { $0.emit(.toClient, [.syn], sequence: 1) } == ["est_syn_toclient"])
  #expect(last { $0.emit(.toServer, [.syn, .ack]) } == ["est_synack_toserver"])
  #expect(last { $0.emit(.toClient, [.syn, .ack], sequence: 5000) } == ["est_synack_resend"])
  #expect(
    last { $0.emit(.toClient, [.syn, .ack], sequence: 1) } == ["est_synack_resend_with_diff_seq"])
}

@Test func ofSeveralSynAcksTheOneAnsweredCounts() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.syn()
  talk.emit(.toClient, [.syn, .ack], sequence: 111)
  talk.emit(.toClient, [.syn, .ack], sequence: 5000)
  talk.nextSequence[1] = 5001
  talk.emit(.toServer, [.ack])
  talk.send(.toClient, "hello")
  let answers = scene.play(talk)
  #expect(answers[2].tcp.eventNames == ["3whs_synack_resend_with_diff_seq"])
  #expect(answers[3].tcp.isHandshakeCompleted)
  #expect(answers[4].tcp.isAccepted)
  #expect(scene.table.session(answers[0].index).server.initialSequence == 5000)
}

@Test func dataWithTheSynCountsWhereTheServerTakesIt() {
  for isTaken in [true, false] {
    var scene = Scene()
    var talk = TCPConversation()
    talk.emit(
      .toServer, [.syn], options: [.other(kind: 34, [1, 2, 3, 4, 5, 6, 7, 8])],
      payload: Array("early".utf8))
    talk.nextSequence[0] &+= isTaken ? 6 : 1
    talk.emit(.toClient, [.syn, .ack])
    talk.nextSequence[1] &+= 1
    talk.emit(.toServer, [.ack])
    let answers = scene.play(talk)
    #expect(answers[2].tcp.isHandshakeCompleted)
    #expect(
      answers[1].tcp.eventNames == (isTaken ? [] : ["3whs_synack_tfo_data_ignored"]))
  }
}

@Test func inlineAServerMayNotSpeakBeforeTheHandshakeIsOver() {
  for isInline in [true, false] {
    var scene = Scene { $0.tcp.isInline = isInline }
    var talk = TCPConversation()
    talk.acknowledges = false
    talk.syn()
    talk.emit(.toClient, [.syn, .ack])
    talk.nextSequence[1] &+= 1
    talk.send(.toClient, "injected")
    let last = scene.play(talk)[2].tcp
    #expect(last.eventNames == (isInline ? ["3whs_ack_data_inject"] : []))
    #expect(last.isAccepted == !isInline)
  }
}

@Test func oddFlagsAreNamed() {
  var scene = Scene()
  let finSyn = scene.track(
    IPv4Packet(alice, bob, TCPSegment(from: 1, to: 2, sequence: 5, flags: [.syn, .fin])))
  #expect(finSyn.tcp.eventNames == ["fin_syn"])
  let broken = scene.track(
    IPv4Packet(
      alice, bob, TCPSegment(from: 3, to: 4, sequence: 5, acknowledgment: 9, flags: [.syn])))
  #expect(broken.tcp.eventNames == ["pkt_broken_ack"])
}

@Test func everyStreamEventHasItsOwnName() {
  let names = StreamEvent.allCases.map(\.ruleName)
  #expect(Set(names).count == names.count)
  #expect(names.allSatisfy { StreamEvent(ruleName: $0)?.ruleName == $0 })
  #expect(StreamEvent(ruleName: "stream.3WHS_syn_flood") == .handshakeSynFlood)
  #expect(StreamEvent(ruleName: "nothing") == nil)
  var set = StreamEventSet()
  for event in StreamEvent.allCases {
    #expect(!set.contains(event))
    set.insert(event)
    #expect(set.contains(event))
  }
}

@Test func damagedPacketsNeverBreakTracking() {
  var scene = Scene {
    $0.tcp.midstream = true
    $0.tcp.checksumValidation = false
    $0.flowCountMax = 500
  }
  var talk = TCPConversation()
  talk.handshake()
  talk.send(.toServer, "hello")
  talk.send(.toClient, "world")
  talk.fin()
  var mutator = Mutator(seed: 3)
  var time = talk.time
  for _ in 0..<100_000 {
    let packet = talk.packets[Int.random(in: 0..<talk.packets.count, using: &mutator.generator)]
    time = Timestamp(nanoseconds: time.nanoseconds + 10_000_000)
    let lookup = scene.track(BuiltPacket(time: time, bytes: mutator.mutate(packet.bytes)))
    switch lookup.outcome {
    case .supersedes: scene.table.remove(lookup.index, reason: lookup.endReason)
    case .full: scene.table.prune(limit: 50) { _, _, _ in }
    case .existing, .new:
      let isLive = scene.table.isLive(lookup.index)
      #expect(isLive)
    case .none: break
    }
    scene.table.expire(now: time, limit: 16) { _, _, _ in }
  }
  #expect(scene.table.count <= 500)
}

/// An attacker's RST with an MD5 (RFC 2385) or TCP-AO (RFC 5925) option is ignored by a server without the key.
@Test func aResetWithASignatureIsNotBelieved() {
  for option in [TCPOption.other(kind: 19, Array(repeating: 1, count: 16)), .other(kind: 29, [1, 2])] {
    var scene = Scene()
    var talk = TCPConversation()
    talk.handshake()
    talk.emit(.toServer, [.rst, .ack], options: [option])
    talk.send(.toServer, "GET / HTTP/1.1\r\n\r\n")
    let answers = scene.play(talk)
    #expect(!answers[3].tcp.isAccepted && !answers[3].tcp.isSessionEnded)
    #expect(answers[4].tcp.isAccepted)
    #expect(scene.table.session(answers[0].index).state == .established)
  }
}
