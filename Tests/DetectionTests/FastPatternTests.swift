import AppLayer
import RuleLanguage
import Testing

@testable import Detection

@Suite struct FastPatternTests {
  private func choice(_ options: String, reach: UInt32 = .max) throws -> FastPatternChoice.Choice? {
    FastPatternChoice.best([(nil, try program(options), 100)], reach: reach)
  }

  private func text(_ choice: FastPatternChoice.Choice?) -> String? {
    choice.map { String(decoding: $0.pattern.bytes, as: UTF8.self) }
  }

  @Test func ofAStreamALiteralNearTheStartIsLookedForBeforeALongerOne() throws {
    let options = "content:\"NEAR\"; depth:4; content:\"a much longer literal\";"
    #expect(text(try choice(options)) == "NEAR")
    #expect(text(try choice("content:\"AR\"; offset:2; depth:2; content:\"much longer\";")) == "AR")
    #expect(text(FastPatternChoice.best([(0, try program(options), 100)])) == "a much longer literal")
  }

  @Test func whatBeginsManyStreamsOrLiesFarInIsNotPreferred() throws {
    #expect(text(try choice("content:\"GET /\"; depth:5; content:\"much longer\";")) == "much longer")
    #expect(text(try choice("content:\"NEAR\"; depth:4000; content:\"much longer\";")) == "much longer")
    #expect(text(try choice("content:\"AR\"; depth:40; content:\"much longer\";")) == "much longer")
    #expect(text(try choice("content:\"SMB\"; depth:8; content:\"much longer\"; distance:0;")) == "much longer")
    #expect(text(try choice("content:\"|FF|SMB\"; offset:4; depth:4; content:\"much longer\"; distance:0;")) == "much longer")
    #expect(text(try choice("content:\"|00 01 00 00 FF|\"; depth:5; content:\"much longer\"; distance:0;")) == "much longer")
    let counts = "content:\"|01 00 00 01 00 00 00 00 00 01|\"; offset:2; depth:10;"
    #expect(text(try choice(counts + " content:\"much longer\"; distance:0;")) == "much longer")
  }

  @Test func theSizeOfThePayloadBoundsWhereALiteralCounts() throws {
    #expect(try choice("content:\"anywhere\";", reach: 20)?.pattern.constraint.endMax == 20)
    let bench = Bench(
      """
      alert tcp any any -> any any (dsize:<9; content:"evil"; sid:1;)
      alert tcp any any -> any any (dsize:8; content:"evil"; sid:2;)
      alert tcp any any -> any any (dsize:7<>9; content:"evil"; sid:3;)
      """)
    #expect(bench.packet("good evil") == [])
    #expect(bench.packet("bad evil") == [1, 2, 3])
  }

  /// A rule that names no direction is found in either, by another literal.
  @Test func aRuleBesideACommonStartIsFoundInBothDirections() {
    let rules = "alert tcp any any -> any 445 (content:\"|FF|SMB\"; depth:8; content:\"far behind\"; distance:0; sid:1;)"
    let evil = "SMB.."
    #expect(Bench(rules).result.ruleSet.groups.packetPayload[PacketClass.tcp.rawValue * 2].table == nil)
    #expect(Bench(rules).result.ruleSet.groups.packetPayload[PacketClass.tcp.rawValue * 2 + 1].table != nil)
    let plain = rules.replacing("|FF|SMB", with: "SMB")
    let bench = Bench(plain)
    bench.packet.destinationPort = 445
    #expect(bench.packet(evil + "far behind") == [1])
    #expect(bench.packet("far behind") == [])
    let other = Bench(plain)
    // The client's port is the one that the rule names.
    other.packet.sourcePort = 445
    other.packet.destinationPort = 80
    #expect(other.packet(evil + "far behind", direction: .toClient) == [1])
    #expect(other.packet(evil + "near", direction: .toClient) == [])
  }

  @Test func aLiteralThatIsTheWholeBufferHasToEndIt() throws {
    func constraint(_ options: String) throws -> HitConstraint {
      try #require(FastPatternChoice.best([(0, try program(options), 100)])).pattern.constraint
    }
    let whole = HitConstraint(endMin: 4, endMax: 4, sizeMax: 4, isAtEnd: true)
    #expect(try constraint("content:\"name\"; bsize:4;") == whole)
    #expect(try constraint("bsize:4; content:\"name\"; nocase;") == whole)
    #expect(try constraint("content:\"name\"; bsize:5;") == HitConstraint())
    #expect(try constraint("content:\"name\"; bsize:<5;") == HitConstraint())
    // A part of the content does not end the buffer.
    #expect(try constraint("content:\"the name\"; fast_pattern:0,3; bsize:8;").isAtEnd == false)
    let rules =
      """
      alert http any any -> any any (http.uri; content:"/NAME"; nocase; bsize:5; sid:1;)
      alert http any any -> any any (http.uri; content:"me"; endswith; sid:2;)
      alert http any any -> any any (http.uri; content:"/name"; bsize:6; sid:3;)
      """
    for (uri, expected) in [("/name", [1, 2]), ("/name1", [3]), ("/my/name", [2])] as [(String, [UInt32])] {
      let http = StubTransaction()
      http.set(.httpURI, uri)
      http.reach(HTTPProgress.complete)
      #expect(Bench(rules).transaction(http) == expected)
    }
  }

  /// Where the second content may end, at least and at most.
  private func ends(_ options: String) throws -> [UInt32] {
    let choice = FastPatternChoice.best([(0, try program(options), 100)])
    let constraint = try #require(choice).pattern.constraint
    return [constraint.endMin, constraint.endMax]
  }

  @Test func aLiteralBehindOneNearTheStartIsNearTheStart() throws {
    #expect(try ends("content:\"|01|\"; depth:1; content:\"second\"; distance:2; within:6;") == [9, 9])
    #expect(try ends("content:\"|01|\"; offset:1; depth:4; content:\"second\"; within:10;") == [8, 15])
    #expect(try ends("content:\"second\"; within:8;") == [6, 8])
    #expect(try ends("byte_extract:1,2,size,relative; content:\"second\"; within:6;") == [9, 9])
    #expect(try ends("byte_extract:1,0,size; content:\"|01|\"; within:size; content:\"second\"; within:6;") == [0, .max])
    #expect(try ends("content:\"|01|\"; content:\"second\"; distance:2; within:6;") == [0, .max])
    #expect(try ends("content:\"|01|\"; depth:1; pcre:\"/x/R\"; content:\"second\"; within:6;") == [0, .max])
    #expect(try ends("content:\"|01|\"; depth:1; byte_jump:1,0,relative; content:\"second\"; within:6;") == [0, .max])
    #expect(try ends("content:!\"|01|\"; depth:1; content:\"second\"; within:8;") == [6, 8])
    #expect(try ends("content:\"|01|\"; depth:9; content:\"second\"; distance:-4; within:8;") == [6, 13])
  }

  @Test func aLiteralIsFoundWhereverItsRuleLetsItStand() {
    let rules = """
      alert tcp any any -> any any (content:"|01|"; depth:3; content:"second"; distance:1; within:8; sid:1;)
      alert tcp any any -> any any (byte_extract:1,0,size,relative; content:"second"; distance:size; within:8; sid:2;)
      alert tcp any any -> any any (byte_math:bytes 1,offset 0,oper +,rvalue 1,result r,relative; content:"second"; within:7; sid:3;)
      """
    let texts: [(String, [UInt32])] = [
      ("\u{1}.second", [1, 2, 3]), ("..\u{1}...second", [1]), ("..\u{1}....second", []), (".\u{1}second", [3]),
      ("\u{1}second", [3]), ("\u{2}...second", [2]), ("\u{2}second", [3]), ("\u{3}...second", [2]), ("\u{1}.........second", []),
    ]
    for (text, sids) in texts {
      for isPrefilterOff in [false, true] {
        let bench = Bench(rules, isPrefilterOff: isPrefilterOff)
        #expect(bench.packet(text) == sids, "\(text.debugDescription), prefilter off: \(isPrefilterOff)")
      }
    }
  }
}
