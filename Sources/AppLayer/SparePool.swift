/// Objects that are done with, kept to be used again: to make one takes an allocation, and one for each of its lists.
///
/// Whoever put an object here may still refer to it, as may whoever it was told to; it is given out when nobody does.
/// - Limits: `countMax` objects, the oldest of which give way.
struct SparePool<Element: AnyObject> {
  private var spares: [Element] = []
  private let countMax: Int
  /// Objects that are asked whether somebody refers to them, before one is made anew.
  private static var looksMax: Int { 4 }

  init(countMax: Int = 64) { self.countMax = max(1, countMax) }

  var count: Int { spares.count }

  mutating func put(_ element: Element) {
    if spares.count >= countMax { spares.removeFirst(spares.count - countMax + 1) }
    spares.append(element)
  }

  /// One that nobody refers to, as it was put; the caller renews it.
  mutating func take() -> Element? {
    var index = spares.count - 1
    let last = max(-1, index - Self.looksMax)
    while index > last {
      if isKnownUniquelyReferenced(&spares[index]) { return spares.remove(at: index) }
      index -= 1
    }
    return nil
  }
}

extension Array {
  /// Empties the list, keeping its room; most that are to be emptied are empty, and to replace nothing takes as long as to
  /// replace something.
  @inline(__always)
  mutating func clear() {
    if !isEmpty { removeAll(keepingCapacity: true) }
  }
}
