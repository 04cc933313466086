import AppLayer
import Testing
import Traffic

@testable import Detection

@Suite struct TransactionRuleTests {
  @Test func aBufferMatchesOnceItsProgressIsReached() {
    let bench = Bench("alert http any any -> any any (http.uri; content:\"/evil\"; sid:1;)")
    let http = StubTransaction()
    http.set(.httpURI, "/evil")
    http.reach(HTTPProgress.line)
    #expect(bench.transaction(http) == [])
    http.reach(HTTPProgress.headers)
    #expect(bench.transaction(http) == [1])
    http.reach(HTTPProgress.complete)
    #expect(bench.transaction(http) == [])
  }

  /// Whether or not its answer was seen, what is kept of a transaction goes to the next one, without what was found.
  @Test func whatIsKeptOfATransactionIsUsedAgain() {
    let bench = Bench("alert http any any -> any any (http.uri; content:\"/evil\"; sid:1;)")
    for uri in ["/evil", "/good", "/evil"] {
      let http = StubTransaction()
      http.set(.httpURI, uri)
      http.reach(HTTPProgress.complete)
      #expect(bench.transaction(http) == (uri == "/evil" ? [1] : []))
      #expect(bench.detector.spareInspections.isEmpty)
      bench.detector.letGo(of: http)
      bench.detector.letGo(of: http)
      #expect(bench.detector.spareInspections.count == 1)
      #expect(Detector.isInspected(http))
      #expect(bench.transaction(http) == [])
    }
  }

  @Test func allBuffersMustMatchInTheSameTransaction() {
    let bench = Bench(
      "alert http any any -> any any (http.uri; content:\"/evil\"; http.request_body; content:\"body\"; sid:1;)")
    let first = StubTransaction()
    first.set(.httpURI, "/evil")
    first.reach(HTTPProgress.complete)
    #expect(bench.transaction(first) == [])
    let second = StubTransaction()
    second.set(.httpURI, "/good")
    second.set(.httpRequestBody, "body")
    second.reach(HTTPProgress.complete)
    #expect(bench.transaction(second) == [])
    let third = StubTransaction()
    third.set(.httpURI, "/evil")
    third.reach(HTTPProgress.body)
    #expect(bench.transaction(third) == [])
    third.append(.httpRequestBody, "bo")
    #expect(bench.transaction(third) == [])
    third.append(.httpRequestBody, "dy")
    #expect(bench.transaction(third) == [1])
  }

  @Test func aStreamingBufferIsScannedAcrossItsPieces() {
    let bench = Bench("alert http any any -> any any (http.request_body; content:\"needle\"; sid:1;)")
    let http = StubTransaction()
    http.reach(HTTPProgress.body)
    for piece in ["hay", "hay nee", "dle hay"] {
      http.append(.httpRequestBody, piece, keeping: 8)
      let expected: [UInt32] = piece.hasPrefix("dle") ? [1] : []
      #expect(bench.transaction(http) == expected)
    }
  }

  @Test func endswithWaitsForTheEndOfAStreamingBuffer() {
    let bench = Bench("alert http any any -> any any (http.request_body; content:\"end\"; endswith; sid:1;)")
    let http = StubTransaction()
    http.reach(HTTPProgress.body)
    http.append(.httpRequestBody, "the end")
    #expect(bench.transaction(http) == [])
    http.append(.httpRequestBody, "", isComplete: true)
    http.reach(HTTPProgress.complete)
    #expect(bench.transaction(http) == [1])
  }

  @Test func stepsOfABlockMustHoldInOneOccurrence() {
    let rules = """
      alert dns any any -> any any (dns.query; content:"evil"; content:".com"; sid:1;)
      alert dns any any -> any any (dns.query; content:"evil"; dns.query; content:".com"; sid:2;)
      """
    let bench = Bench(rules)
    let apart = StubTransaction(.dns, complete: 1)
    apart.set(.dnsQueryName, "evil.org", "good.com")
    apart.reach(1)
    #expect(bench.transaction(apart) == [2])
    let together = StubTransaction(.dns, complete: 1)
    together.set(.dnsQueryName, "good.org", "evil.com")
    together.reach(1)
    #expect(bench.transaction(together) == [1, 2])
  }

  @Test func transformsMakeTheBufferThatIsScanned() {
    let bench = Bench(
      "alert dns any any -> any any (dns.query; dotprefix; content:\".evil.com\"; nocase; endswith; sid:1;)")
    for (name, expected) in [("evil.com", [1]), ("www.Evil.com", [1]), ("notevil.com", [])] as [(String, [UInt32])] {
      let dns = StubTransaction(.dns, complete: 1)
      dns.set(.dnsQueryName, name)
      dns.reach(1)
      #expect(bench.transaction(dns) == expected)
    }
  }

  @Test func legacyModifiersMoveTheContentBefore() {
    let bench = Bench(
      "alert http any any -> any any (content:\"/EVIL\"; http_uri; nocase; content:\"POST\"; http_method; sid:1;)")
    let http = StubTransaction()
    http.set(.httpURI, "/evil")
    http.set(.httpMethod, "POST")
    http.reach(HTTPProgress.complete)
    #expect(bench.transaction(http) == [1])
    let other = StubTransaction()
    other.set(.httpURI, "/evil")
    other.set(.httpMethod, "GET")
    other.reach(HTTPProgress.complete)
    #expect(bench.transaction(other) == [])
  }

  @Test func rulesWithoutALiteralAreTriedOnEveryTransaction() {
    let bench = Bench("alert http any any -> any any (urilen:>5; sid:1;)")
    let long = StubTransaction()
    long.set(.httpURI, "/123456")
    long.reach(HTTPProgress.headers)
    #expect(bench.transaction(long) == [1])
    let short = StubTransaction()
    short.set(.httpURI, "/1")
    short.reach(HTTPProgress.complete)
    #expect(bench.transaction(short) == [])
  }

  @Test func aTransactionalRuleSpansBothDirections() {
    let bench = Bench(
      "alert http $HOME_NET any => $EXTERNAL_NET any (http.uri; content:\"/evil\"; http.stat_code; content:\"200\"; sid:1;)")
    let http = StubTransaction()
    http.set(.httpURI, "/evil")
    http.reach(HTTPProgress.complete)
    #expect(bench.transaction(http) == [])
    http.set(.httpStatusCode, "200", direction: .toClient)
    http.reach(HTTPProgress.complete, .toClient)
    #expect(bench.transaction(http, .toClient) == [1])
  }

  @Test func buffersOfBothDirectionsNeedTheDoubleArrow() {
    let bench = Bench(
      "alert http any any -> any any (http.uri; content:\"/evil\"; http.stat_code; content:\"200\"; sid:1;)")
    #expect(bench.refusals.count == 1)
  }

  @Test func payloadBesideBuffersIsLookedForInTheStream() {
    let bench = Bench(
      "alert http any any -> any any (content:\"HTTP/1.1\"; http.uri; content:\"/evil\"; sid:1;)")
    let http = StubTransaction()
    http.set(.httpURI, "/evil")
    http.reach(HTTPProgress.headers)
    #expect(bench.transaction(http) == [])
    #expect(bench.transaction(http, payload: "GET /evil HTTP/1.1") == [1])
  }

  @Test func eventsMatchWhenTheyAreRaised() {
    let bench = Bench("alert http any any -> any any (app-layer-event:http.missing_host_header; sid:1;)")
    let http = StubTransaction()
    http.reach(HTTPProgress.headers)
    #expect(bench.transaction(http) == [])
    http.addEvent("missing_host_header")
    #expect(bench.transaction(http) == [1])
    #expect(bench.transaction(http) == [])
    // A rule that names no direction is told in both.
    #expect(bench.transaction(http, .toClient) == [1])
  }

  @Test func numbersAreCompared() {
    let bench = Bench(
      """
      alert dns any any -> any any (dns.opcode:4; sid:1;)
      alert dns any any -> any any (dns.rrtype:TXT; sid:2;)
      alert tls any any -> any any (tls.version:1.2; sid:3;)
      """)
    #expect(bench.refusals == [])
    let dns = StubTransaction(.dns, complete: 1)
    dns.numbers = [.dnsOpcode: [4], .dnsQueryType: [1, 16]]
    dns.reach(1)
    #expect(bench.transaction(dns) == [1, 2])
    let tls = StubTransaction(.tls)
    tls.numbers = [.tlsVersion: [0x0303]]
    tls.reach(1)
    #expect(bench.transaction(tls) == [3])
  }

  @Test func aTransactionDoneWithIsNotLookedAtAgain() {
    let bench = Bench("alert http any any -> any any (http.uri; content:\"/evil\"; sid:1;)")
    let http = StubTransaction()
    http.set(.httpURI, "/good")
    http.reach(HTTPProgress.complete)
    http.reach(HTTPProgress.complete, .toClient)
    #expect(bench.transaction(http) == [])
    #expect(!Detector.isInspected(http))
    #expect(bench.transaction(http, .toClient) == [])
    #expect(Detector.isInspected(http))
  }

  @Test func transactionsOfAPassedFlowAreDoneWithAtTheirEnd() {
    let bench = Bench("pass http any any -> any any (http.uri; content:\"/friend\"; sid:1;)")
    let http = StubTransaction()
    http.set(.httpURI, "/friend")
    http.reach(HTTPProgress.headers)
    #expect(bench.transaction(http) == [])
    #expect(bench.state.isPassed)
    #expect(bench.transaction(http) == [])
    #expect(!Detector.isInspected(http))
    http.reach(HTTPProgress.complete)
    http.reach(HTTPProgress.complete, .toClient)
    #expect(bench.transaction(http, .toClient) == [])
    #expect(Detector.isInspected(http))
  }

  @Test func aLongBodyIsSearchedToItsEnd() {
    let bench = Bench(
      "alert http any any -> any any (http.request_body; content:\"first literal\"; content:\"second\"; distance:0; sid:1;)")
    let http = StubTransaction()
    http.reach(HTTPProgress.body)
    http.append(.httpRequestBody, "the first literal")
    #expect(bench.transaction(http) == [])
    for _ in 0..<50 {
      http.append(.httpRequestBody, String(repeating: "x", count: 1000))
      #expect(bench.transaction(http) == [])
    }
    http.append(.httpRequestBody, "sec")
    #expect(bench.transaction(http) == [])
    http.append(.httpRequestBody, "ond")
    #expect(bench.transaction(http) == [1])
  }
}
