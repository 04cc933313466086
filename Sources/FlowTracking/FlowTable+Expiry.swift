import Traffic

extension FlowTable {
  /// Whether there is a second to be looked at for flows that are over.
  @inline(__always)
  public func mayExpire(at now: Timestamp) -> Bool { wheel.cursor <= now.seconds }

  /// Ends flows that have been silent for longer than their timeout.
  ///
  /// - Parameter now: packet time; a time before the last one is taken as no news.
  /// - Parameter limit: at most so many flows are looked at, so that a batch stays short; the rest
  ///   waits for the next call.
  /// - Parameter body: gets each flow just before its place is freed.
  /// - Returns: how many flows ended.
  @discardableResult
  public mutating func expire(
    now: Timestamp, limit: Int = .max,
    _ body: (FlowIndex, borrowing Flow, FlowEndReason) -> Void
  ) -> Int {
    wheel.start(at: now)
    wheel.skip(toReach: now.seconds)
    var ended = 0
    var looked = 0
    while wheel.cursor <= now.seconds {
      while true {
        let index = wheel.head(second: wheel.cursor)
        if index == .none { break }
        guard looked < limit else { return ended }
        looked &+= 1
        let due = dueTime(index)
        if due < now {
          body(index, flows[index.index], .timeout)
          remove(index, reason: .timeout)
          ended &+= 1
        } else {
          // Packets came since it was linked; due.seconds >= cursor, so it moves on.
          wheel.unlink(index, &links)
          wheel.link(index, &links, dueSecond: due.seconds &+ 1)
        }
      }
      wheel.advance()
    }
    return ended
  }

  /// Ends the `limit` flows that would time out first, to make room.
  @discardableResult
  public mutating func prune(
    limit: Int, _ body: (FlowIndex, borrowing Flow, FlowEndReason) -> Void
  ) -> Int {
    var ended = 0
    var second = wheel.cursor
    for _ in 0..<FlowWheel.bucketCount {
      while ended < limit {
        let index = wheel.head(second: second)
        if index == .none { break }
        body(index, flows[index.index], .forced)
        remove(index, reason: .forced)
        counters.flowsPruned &+= 1
        ended &+= 1
      }
      if ended >= limit { break }
      second &+= 1
    }
    return ended
  }

  /// Ends all flows, in the order in which their places were given; for the end of a capture or
  /// of the engine.
  public mutating func removeAll(
    reason: FlowEndReason = .shutdown, _ body: (FlowIndex, borrowing Flow, FlowEndReason) -> Void
  ) {
    for place in flows.indices where links[place].isLive {
      let index = FlowIndex(rawValue: UInt32(place))
      body(index, flows[place], reason)
      remove(index, reason: reason)
    }
  }
}
