import Testing

@testable import Interception

@Suite struct TimerWheelTests {
  private let tick: Int64 = 25_000_000

  @Test func `An entry fires at the first tick behind its deadline, never before`() {
    var wheel = TimerWheel(now: 0)
    let at = wheel.schedule(slot: 3, generation: 9, deadline: 4 * tick + 1)
    #expect(at == 5)
    #expect(wheel.wait(now: 0) == 125)
    #expect(wheel.expire(now: 5 * tick - 1).isEmpty)
    #expect(wheel.expire(now: 5 * tick).map(\.slot) == [3])
    #expect(wheel.expire(now: 9 * tick).isEmpty)
    #expect(wheel.wait(now: 9 * tick) == -1)
  }

  @Test func `A deadline in the past fires at the next tick, one beyond the wheel within a round`() {
    var wheel = TimerWheel(slotCount: 64, now: 100 * tick)
    #expect(wheel.schedule(slot: 1, generation: 1, deadline: 0) == 101)
    #expect(wheel.schedule(slot: 2, generation: 1, deadline: 10_000 * tick) == 163)
    #expect(wheel.expire(now: 162 * tick).map(\.slot) == [1])
    #expect(wheel.expire(now: 163 * tick).map(\.slot) == [2])
  }

  @Test func `After a long sleep every entry fires once`() {
    var wheel = TimerWheel(slotCount: 64, now: 0)
    for slot in 0..<63 { _ = wheel.schedule(slot: slot, generation: 1, deadline: Int64(slot) * tick) }
    #expect(Set(wheel.expire(now: 10_000 * tick).map(\.slot)).count == 63)
    #expect(wheel.expire(now: 20_000 * tick).isEmpty)
  }
}

@Suite struct LRUTableTests {
  @Test func `The table agrees with a list kept in order of use`() {
    var table = LRUTable<Int, Int>(countMax: 8)
    var model: [(key: Int, value: Int)] = []
    var state: UInt32 = 7
    for step in 0..<5_000 {
      state = state &* 1_664_525 &+ 1_013_904_223
      let key = Int(state >> 20) % 14
      let place = model.firstIndex { $0.key == key }
      if state & 0x7000 == 0x7000 {
        let known = place.map { model.remove(at: $0) }
        #expect(table.remove(key) == known?.value)
        #expect(Set(table.values) == Set(model.map(\.value)))
      } else if state & 0x1000 == 0 {
        let known = place.map { model[$0] }
        #expect(table.value(for: key) == known?.value)
        if let place { model.append(model.remove(at: place)) }
      } else {
        table.set(step, for: key)
        if let place { model.remove(at: place) } else if model.count == 8 { model.removeFirst() }
        model.append((key, step))
      }
      #expect(table.count == model.count)
    }
    #expect(table.evictions > 0)
  }
}

@Suite struct DERListTests {
  @Test func `Elements come with their headers, in short and long form`() {
    let long = [UInt8](repeating: 7, count: 300)
    // 82 03 "abc"; 82 82 012c and 300 octets.
    let first: [UInt8] = [0x82, 3, 0x61, 0x62, 0x63]
    let second = [0x82] + DERList.length(long.count) + long
    #expect(DERList.elements(of: DERList.sequence(of: first + second)).map(Array.init) == [first, second])
    #expect(DERList.elements(of: DERList.sequence(of: [])).isEmpty)
    for count in [0, 127, 128, 255, 256, 65_535, 65_536] {
      let one = [0x82] + DERList.length(count) + [UInt8](repeating: 1, count: count)
      #expect(DERList.elements(of: DERList.sequence(of: one)).map(Array.init) == [one])
    }
  }

  @Test func `What is cut short, of no definite length or no sequence ends the list`() {
    let whole = DERList.sequence(of: [0x82, 3, 0x61, 0x62, 0x63, 0x82, 1, 0x64])
    for count in whole.indices { #expect(DERList.elements(of: Array(whole[..<count])).isEmpty) }
    #expect(DERList.elements(of: [0x30, 2, 0x82, 9]).isEmpty)
    #expect(DERList.elements(of: [0x30, 0x80, 0x82, 0, 0, 0]).isEmpty)
    #expect(DERList.elements(of: [0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).isEmpty)
    #expect(DERList.elements(of: [0x31, 2, 0x82, 0]).isEmpty)
  }
}
