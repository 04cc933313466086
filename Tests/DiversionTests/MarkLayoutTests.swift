import Testing

@testable import Diversion

@Test func `Marks are four different single bits or they are refused`() {
  #expect(MarkLayout(deliver: 0x10, release: 0x20, clientLeg: 0x1000, serverLeg: 0x2000)?.mask == 0x3030)
  #expect(MarkLayout(deliver: 0x10, release: 0x10) == nil)
  #expect(MarkLayout(deliver: 0x3) == nil)
  #expect(MarkLayout(deliver: 0) == nil)
  #expect(MarkLayout.standard == MarkLayout())
}
