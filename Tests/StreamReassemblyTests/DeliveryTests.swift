import PacketDecoding
import StreamReassembly
import TestSupport
import Testing
import Traffic

@Test func inlineWhatIsNextInOrderIsDeliveredAtOnce() {
  let scene = StreamScene(.inline)
  scene.handshake()
  let result = scene.add(at: 1001, "hello ")
  scene.add(at: 1007, "world")
  #expect(scene.text == "hello world")
  #expect(!result.isHeld && result.events.isEmpty)
  #expect(scene.reassembler.counters.passedThrough == 2)
}

@Test func withoutHistoryTheSameIsDeliveredAndNothingIsHeld() {
  let scene = StreamScene(.inline)
  scene.reassembler.keepsHistory = false
  scene.handshake()
  scene.add(at: 1001, "hello ")
  scene.add(at: 1012, "!")
  scene.add(at: 1007, "world")
  scene.acknowledge(1013)
  scene.add(at: 1013, "?")
  #expect(scene.text == "hello world!?" && scene.isConsistent)
  #expect(scene.reassembler.counters.heldBytes == 0)
  // From here on it is remembered again.
  scene.reassembler.keepsHistory = true
  scene.add(at: 1014, "abc")
  #expect(scene.add(at: 1014, "xyz").isConflicting)
  #expect(scene.text == "hello world!?abc")
}

@Test func passiveBytesWaitForTheirAcknowledgement() {
  let scene = StreamScene(.acknowledged)
  scene.handshake()
  let result = scene.add(at: 1001, "hello world")
  #expect(result.isHeld && scene.text.isEmpty)
  scene.acknowledge(1006)
  #expect(scene.text == "hello")
  scene.acknowledge(1012)
  #expect(scene.text == "hello world")
  #expect(scene.reassembler.counters.heldBytes == 0)
}

@Test func ciphertextIsCountedPastAndNotHeld() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery)
    scene.handshake()
    scene.add(at: 1001, Array("plain ".utf8))
    scene.add(at: 1007, Array("cipher".utf8), opaque: true)
    // What was held before goes first, and does not wait either.
    #expect(scene.text == "plain cipher")
    scene.acknowledge(1007)
    scene.add(at: 1013, Array("text".utf8), opaque: true)
    #expect(scene.text == "plain ciphertext" && scene.isConsistent)
    #expect(scene.reassembler.counters.heldBytes == 0)
    // Sent again before it is acknowledged: nothing odd. Behind that it is told of.
    #expect(scene.add(at: 1013, Array("text".utf8), opaque: true).events.isEmpty)
    scene.acknowledge(1017)
    let late = scene.add(at: 1013, Array("text".utf8), opaque: true)
    #expect(late.events.contains(.reassemblySegmentBeforeBaseSequence))
    // A hole is waited for.
    #expect(scene.add(at: 1020, Array("!".utf8), opaque: true).isHeld)
    scene.add(at: 1017, Array("abc".utf8), opaque: true)
    #expect(scene.text == "plain ciphertextabc!" && scene.isConsistent)
    #expect(scene.gaps[0].isEmpty)
  }
}

@Test(arguments: [DeliveryMode.inline, .acknowledged])
func aFinWithinWhatIsHeldBehindAHoleEndsIt(delivery: DeliveryMode) {
  let scene = StreamScene(delivery)
  scene.handshake()
  #expect(scene.add(at: 1011, "0123456789").isHeld)
  scene.add(at: 1016, [], fin: true)
  scene.finish()
  // What lies behind a hole that nobody acknowledged comes after the end, as far as the FIN.
  #expect(scene.text == "01234")
  #expect(scene.ends[0] == 1)
  #expect(scene.reassembler.counters.heldBytes == 0)
}

@Test func bytesAcknowledgedBeforeTheyWereSeenAreNotHeld() {
  let scene = StreamScene(.acknowledged)
  scene.handshake()
  scene.acknowledge(1006)
  scene.add(at: 1001, "hello")
  #expect(scene.text == "hello")
  #expect(scene.reassembler.counters.segmentsHeld == 0)
}

@Test func aSegmentOutOfOrderWaitsForTheHoleToFill() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery)
    scene.handshake()
    #expect(scene.add(at: 1006, "world").isHeld)
    scene.add(at: 1001, "hello")
    scene.acknowledge(1011)
    #expect(scene.text == "helloworld")
    #expect(scene.gaps[0].isEmpty && scene.isConsistent)
  }
}

@Test func aHoleThatTheReceiverAcknowledgedIsAGap() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery)
    scene.handshake()
    scene.add(at: 1001, "abc")
    scene.add(at: 1010, "xyz")
    let result = scene.acknowledge(1013)
    #expect(scene.text == "abcxyz")
    #expect(scene.gaps[0] == [6])
    #expect(result.events.contains(.reassemblySequenceGap))
    #expect(scene.isConsistent)
    #expect(scene.reassembler.counters.gapBytes == 6)
  }
}

@Test func aHoleWithNothingBehindItIsNotYetAGap() {
  let scene = StreamScene(.acknowledged)
  scene.handshake()
  scene.acknowledge(1006)
  #expect(scene.gaps[0].isEmpty)
  scene.add(at: 1001, "hello")
  scene.acknowledge(1017)
  scene.add(at: 1017, "again")
  scene.acknowledge(1022)
  #expect(scene.text == "helloagain" && scene.gaps[0] == [11])
}

@Test func partOfASegmentMayBeOld() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery)
    scene.handshake()
    scene.add(at: 1001, "hello")
    scene.acknowledge(1006)
    scene.add(at: 1004, "lo world")
    scene.acknowledge(1012)
    #expect(scene.text == "hello world")
    let old = scene.add(at: 1001, "hello")
    #expect(old.events.contains(.reassemblySegmentBeforeBaseSequence))
    #expect(scene.text == "hello world")
  }
}

@Test func bytesBeforeTheFirstSequenceNumberAreNotOfTheStream() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery)
    scene.handshake()
    let before = scene.add(at: 990, "0123456789")
    #expect(before.events.contains(.reassemblySegmentBeforeBaseSequence))
    scene.add(at: 999, "XYhello")
    scene.acknowledge(1006)
    #expect(scene.text == "hello")
  }
}

@Test func sequenceNumbersWrapInsideAStream() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery)
    scene.handshake(client: 0xffff_fffa, server: 0xffff_ffff)
    scene.add(at: 0xffff_fffb, "abc")
    scene.add(at: 3, "ijk")
    scene.add(at: 0xffff_fffe, "defgh")
    scene.add(.toClient, at: 0, [], ack: 6)
    #expect(scene.text == "abcdefghijk")
    #expect(scene.isConsistent)
  }
}

@Test func theFINEndsTheStreamOnceAllBeforeItIsThere() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery)
    scene.handshake()
    scene.add(at: 1006, Array("world".utf8), fin: true)
    #expect(scene.ends[0] == 0)
    scene.add(at: 1001, "hello")
    scene.acknowledge(1012)
    #expect(scene.text == "helloworld")
    // Who waits for acknowledgements hears of the end when the session is over.
    #expect(scene.ends == [delivery == .inline ? 1 : 0, 0])
    // What comes after the FIN is not of the stream; neither is a second FIN.
    scene.add(at: 1011, "more")
    scene.add(at: 1011, [], fin: true)
    scene.finish()
    #expect(scene.text == "helloworld" && scene.ends == [1, 1] && scene.isConsistent)
  }
}

@Test func aFINInOrderRidesOnItsData() {
  let scene = StreamScene(.inline)
  scene.handshake()
  scene.add(at: 1001, Array("bye".utf8), fin: true)
  #expect(scene.text == "bye" && scene.ends[0] == 1 && scene.chunkCount == 1)
  let alone = StreamScene(.inline)
  alone.handshake()
  alone.add(at: 1001, [], fin: true)
  #expect(alone.ends[0] == 1)
}

@Test func dataBeyondTheFINIsCutOff() {
  let scene = StreamScene(.acknowledged)
  scene.handshake()
  scene.add(at: 1001, Array("abc".utf8), fin: true)
  scene.add(at: 1003, "cdef")
  scene.acknowledge(1008)
  #expect(scene.text == "abc" && scene.ends[0] == 0)
  scene.finish()
  #expect(scene.text == "abc" && scene.ends[0] == 1)
}

@Test func finishingDeliversWhatIsThereAcrossHoles() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery)
    scene.handshake()
    scene.add(at: 1001, "abc")
    scene.add(at: 1010, "xyz")
    scene.finish()
    #expect(scene.text == "abcxyz")
    #expect(scene.gaps[0] == [6])
    #expect(scene.ends == [1, 1] && scene.isConsistent)
    #expect(scene.reassembler.counters.heldBytes == 0)
  }
}

@Test func flushingDoesNotCrossHoles() {
  let scene = StreamScene(.acknowledged)
  scene.handshake()
  scene.add(at: 1001, "abc")
  scene.add(at: 1010, "xyz")
  scene.flush()
  #expect(scene.text == "abc" && scene.ends[0] == 0)
}

@Test func oneSidedStreamsDoNotWait() {
  let scene = StreamScene(.acknowledged)
  scene.add(at: 1000, [], syn: true)
  scene.add(at: 1001, Array("hello".utf8), now: true)
  #expect(scene.text == "hello")
}

@Test func aStreamWithoutItsSynBeginsWhereItIsSeen() {
  let scene = StreamScene(.inline)
  scene.add(at: 77_000, "hello", ack: 88_000)
  scene.add(.toClient, at: 88_000, "world", ack: 77_005)
  #expect(scene.delivered.map { String(decoding: $0, as: UTF8.self) } == ["hello", "world"])
}

@Test func theAnsweredSynDecidesWhereDataBegins() {
  let scene = StreamScene(.inline)
  scene.add(at: 1000, [], syn: true)
  scene.add(at: 2000, [], syn: true)
  scene.add(.toClient, at: 111, [], ack: 2001, syn: true)
  scene.reassembler.open(flow: 0, clientSequence: 2001, serverSequence: 5001)
  scene.add(at: 2001, "hello", ack: 5001)
  scene.add(.toClient, at: 5001, "world", ack: 2006)
  #expect(scene.delivered.map { String(decoding: $0, as: UTF8.self) } == ["hello", "world"])
  // Later it changes nothing.
  scene.reassembler.open(flow: 0, clientSequence: 1, serverSequence: 1)
  scene.add(at: 2006, "!", ack: 5006)
  #expect(scene.text == "hello!")
}

@Test func dataOnTheSynBelongsToTheStream() {
  let scene = StreamScene(.inline)
  scene.add(at: 1000, Array("early".utf8), syn: true)
  scene.add(at: 1006, "later")
  #expect(scene.text == "earlylater")
}

@Test func theDepthEndsDeliveryAndIsCounted() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery) { $0.depthBytes = 8 }
    scene.handshake()
    scene.add(at: 1001, "hello")
    let result = scene.add(at: 1006, "world")
    let acked = scene.acknowledge(1011)
    #expect(scene.text == "hellowor")
    #expect(
      result.events.contains(.reassemblyDepthReached) || acked.events.contains(.reassemblyDepthReached))
    // For those who look, the stream is over.
    #expect(scene.ends[0] == 1)
    #expect(scene.add(at: 1011, "more").isDepthReached)
    #expect(scene.reassembler.counters.streamsAtDepth == 1)
    #expect(scene.reassembler.counters.heldBytes == 0)
    scene.add(at: 1015, [], fin: true)
    #expect(scene.ends[0] == 1)
  }
}

@Test func atTheMemoryCapOrderedDataGoesOnAndOtherDataIsRefused() {
  for delivery in [DeliveryMode.inline, .acknowledged] {
    let scene = StreamScene(delivery) { $0.memcapBytes = 10 }
    scene.handshake()
    scene.add(at: 1101, "12345678")
    let refused = scene.add(at: 1201, "12345678")
    #expect(refused.isRefused && refused.isOverLimit && refused.events.contains(.reassemblyInsertMemcap))
    scene.add(at: 1001, "in order, and longer than the cap")
    #expect(scene.text == "in order, and longer than the cap")
    #expect(scene.reassembler.counters.memcapHits >= 1)
    #expect(scene.reassembler.counters.heldBytes <= 10)
  }
}

@Test func aFloodOfTinySegmentsIsLimited() {
  let scene = StreamScene(.acknowledged) { $0.streamHeldSegmentsMax = 16 }
  scene.handshake()
  var refused = 0
  for index in 0..<40 {
    let result = scene.add(at: 1010 + UInt32(index) * 2, "x")
    if result.isRefused { refused += 1 }
    if result.isRefused { #expect(result.events.contains(.reassemblyInsertLimit)) }
  }
  #expect(refused == 24)
  #expect(scene.reassembler.counters.streamLimitHits == 24)
}

@Test func aSegmentBeyondAnyWindowIsRefused() {
  let scene = StreamScene(.inline)
  scene.handshake()
  let far = scene.add(at: 1001 + 0x5000_0000, "x")
  #expect(far.isRefused && far.events.contains(.reassemblyInsertInvalid))
}

@Test func afterAResetTheSameFlowPlaceServesAnotherConnection() {
  let scene = StreamScene(.acknowledged)
  scene.handshake()
  scene.add(at: 1001, "old")
  scene.reassembler.reset(flow: 0)
  #expect(scene.reassembler.counters.heldBytes == 0)
  scene.handshake(client: 70_000, server: 80_000)
  scene.add(at: 70_001, "new", ack: 80_001)
  scene.add(.toClient, at: 80_001, [], ack: 70_004)
  #expect(scene.text == "new")
}

@Test func resumptionAfterGigabytesUnseenFindsTheStreamAgain() {
  let scene = StreamScene(.inline)
  scene.handshake()
  var sequence: UInt32 = 1001
  // Six gigabytes go by unseen; only their acknowledgements are.
  for _ in 0..<6 {
    sequence &+= 1 << 30
    scene.acknowledge(sequence)
  }
  scene.add(at: sequence, "hello")
  #expect(scene.text == "hello")
  #expect(scene.gaps[0] == [6 << 30])
}

@Test func inlineASegmentSentAgainWithOtherDataIsFoundOut() {
  let scene = StreamScene(.inline)
  scene.handshake()
  scene.add(at: 1001, "GET /good")
  let same = scene.add(at: 1001, "GET /good")
  #expect(!same.isConflicting && same.events.isEmpty)
  let other = scene.add(at: 1005, "/evil and more")
  #expect(other.isConflicting && other.events.contains(.reassemblyOverlapDifferentData))
  #expect(scene.text == "GET /good and more")
  // What the receiver must get instead.
  var packet = Array("/evil and more".utf8)
  scene.reassembler.forEachAccepted(
    flow: 0, direction: .toServer, sequence: 1005, count: packet.count
  ) { offset, bytes in
    packet.replaceSubrange(offset..<offset + bytes.byteCount, with: bytes.copied())
  }
  #expect(String(decoding: packet, as: UTF8.self) == "/good and more")
  // Once acknowledged nobody can replace it, and it is forgotten.
  scene.acknowledge(1019)
  #expect(scene.reassembler.counters.heldBytes == 0)
}

@Test func memoryIsKeptForStreamsToComeUpToALimit() {
  for (limit, isKept) in [(1 << 20, true), (1000, false)] {
    let scene = StreamScene(.acknowledged) { $0.pooledBytesMax = limit }
    for round: UInt32 in 0..<3 {
      scene.handshake(client: round &* 100_000, server: 1)
      scene.add(at: round &* 100_000 &+ 1, Array(repeating: 1, count: 20_000))
      #expect(scene.reassembler.counters.pooledBytes == 0)
      scene.reassembler.reset(flow: 0)
      #expect((scene.reassembler.counters.pooledBytes >= 20_000) == isKept)
    }
  }
}

@Test func whoHoldsLittleDoesNotSitOnTheRoomThatMuchHasTaken() {
  let scene = StreamScene(.acknowledged)
  scene.handshake(client: 0)
  scene.add(at: 1, Array(repeating: 1, count: 200_000))
  scene.reassembler.reset(flow: 0)
  let pooled = scene.reassembler.counters.pooledBytes
  #expect(pooled >= 200_000)
  scene.handshake(client: 0)
  scene.add(at: 1, Array("88 octets".utf8))
  #expect(scene.reassembler.counters.heldBytes == 9)
  #expect(scene.reassembler.counters.pooledBytes >= 200_000)
  // More than that moves into the room, with what there was.
  scene.add(at: 10, Array(repeating: 2, count: 100_000))
  #expect(scene.reassembler.counters.pooledBytes < 16_384)
  scene.acknowledge(100_010)
  #expect(scene.text.hasPrefix("88 octets"))
  #expect(scene.reassembler.counters.heldBytes == 0)
  #expect(scene.reassembler.counters.pooledBytes >= 200_000)
}

@Test func inlineHistoryHasALimit() {
  let scene = StreamScene(.inline) { $0.historyBytesMax = 1000 }
  scene.handshake()
  for index in 0..<100 {
    scene.add(at: 1001 + UInt32(index) * 100, Array(repeating: 65, count: 100))
  }
  #expect(scene.delivered[0].count == 10_000)
  #expect(scene.reassembler.counters.historyTrims > 0)
  #expect(scene.reassembler.counters.heldBytesMax < 200_000)
  let recent = scene.add(at: 1001 + 9_900, Array(repeating: 66, count: 100))
  #expect(recent.isConflicting)
}
