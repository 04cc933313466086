import Testing
import Traffic

@Suite struct TimestampTests {
  @Test func secondsAndNanosecondsMakeOneNumber() {
    let time = Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789)
    #expect(time.nanoseconds == 1_700_000_000_123_456_789)
    #expect(time.seconds == 1_700_000_000)
    #expect(time.microsecondsOfSecond == 123_456)
  }

  @Test func timesBefore1970HaveMicrosecondsToo() {
    let time = Timestamp(nanoseconds: -1)
    #expect(time.microsecondsOfSecond == 999_999)
  }

  @Test func differencesAreNegativeWhenTimeRunsBack() {
    let early = Timestamp(seconds: 10)
    let late = Timestamp(seconds: 13, nanoseconds: 900_000_000)
    #expect(late.seconds(since: early) == 3)
    #expect(early.seconds(since: late) == -3)
    #expect(early < late)
    #expect(!(late < early))
  }

  @Test func impossibleTimesDoNotTrap() {
    let far = Timestamp(seconds: .max, nanoseconds: .max)
    let past = Timestamp(nanoseconds: .min)
    _ = far.seconds(since: past)
    _ = past.microsecondsOfSecond
    #expect(past < Timestamp(nanoseconds: .max))
  }

  @Test func aTupleReversedTwiceIsItself() {
    let tuple = FlowTuple(
      source: IPAddress(ipv4: 1), destination: IPAddress(ipv4: 2), sourcePort: 3, destinationPort: 4,
      ipProtocol: 6, vlan: 5)
    #expect(tuple.reversed.source == tuple.destination)
    #expect(tuple.reversed.sourcePort == 4)
    #expect(tuple.reversed.vlan == 5)
    #expect(tuple.reversed.reversed == tuple)
    #expect(tuple.reversed != tuple)
  }

  @Test func directionsAreEachOthersOpposite() {
    #expect(Direction.toServer.opposite == .toClient)
    #expect(Direction.toClient.opposite == .toServer)
    #expect(Direction.allCases.map(\.index) == [0, 1])
  }

  @Test func rawLinksAreThoseThatBeginWithIP() {
    for link in [LinkType.raw, .rawBSD, .rawOpenBSD, .ipv4, .ipv6] { #expect(link.isRawIP) }
    for link in [LinkType.ethernet, .null, .linuxCooked, .ppp] { #expect(!link.isRawIP) }
    #expect(LinkType.linuxCookedV2.description == "LINUX_SLL2")
    #expect(LinkType(rawValue: 9999).description == "DLT 9999")
  }
}
