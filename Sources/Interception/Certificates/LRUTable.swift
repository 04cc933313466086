/// A table of at most `countMax` entries; at the limit the least recently used one goes.
///
/// - Complexity: O(1) each; links are indexes into one array, so that nothing is allocated for
///   an entry once the table has grown.
struct LRUTable<Key: Hashable, Value> {
  private struct Node {
    var key: Key
    var value: Value
    var newer: Int
    var older: Int
  }

  let countMax: Int
  private(set) var evictions: UInt64 = 0
  private var nodes: [Node] = []
  private var places: [Key: Int] = [:]
  private var newest = -1
  private var oldest = -1

  init(countMax: Int) { self.countMax = max(1, countMax) }

  var count: Int { places.count }

  /// The value, which becomes the most recently used one.
  mutating func value(for key: Key) -> Value? {
    guard let place = places[key] else { return nil }
    if place != newest {
      unlink(place)
      linkNewest(place)
    }
    return nodes[place].value
  }

  mutating func set(_ value: Value, for key: Key) {
    if let place = places[key] {
      nodes[place].value = value
      _ = self.value(for: key)
      return
    }
    let place: Int
    if nodes.count < countMax {
      place = nodes.count
      nodes.append(Node(key: key, value: value, newer: -1, older: -1))
    } else {
      place = oldest
      unlink(place)
      places[nodes[place].key] = nil
      nodes[place] = Node(key: key, value: value, newer: -1, older: -1)
      evictions &+= 1
    }
    places[key] = place
    linkNewest(place)
  }

  /// In no order.
  var values: [Value] { places.values.map { nodes[$0].value } }

  /// The least recently used one first.
  var valuesByUse: [Value] {
    var found: [Value] = []
    var place = oldest
    while place >= 0 {
      found.append(nodes[place].value)
      place = nodes[place].newer
    }
    return found
  }

  /// How many keys fit, and the least recently used of them.
  /// - Complexity: O(n); for what is rare.
  func oldest(where fits: (Key) -> Bool) -> (count: Int, key: Key?) {
    var count = 0
    var place = oldest
    var first: Key?
    while place >= 0 {
      if fits(nodes[place].key) {
        count += 1
        first = first ?? nodes[place].key
      }
      place = nodes[place].newer
    }
    return (count, first)
  }

  mutating func remove(_ key: Key) -> Value? {
    guard let place = places.removeValue(forKey: key) else { return nil }
    let value = nodes[place].value
    unlink(place)
    // The last node moves into the gap, so that the nodes stay one run.
    let last = nodes.count - 1
    if place != last {
      nodes[place] = nodes[last]
      places[nodes[place].key] = place
      if nodes[place].newer >= 0 { nodes[nodes[place].newer].older = place } else { newest = place }
      if nodes[place].older >= 0 { nodes[nodes[place].older].newer = place } else { oldest = place }
    }
    nodes.removeLast()
    return value
  }

  private mutating func unlink(_ place: Int) {
    let node = nodes[place]
    if node.newer >= 0 { nodes[node.newer].older = node.older } else { newest = node.older }
    if node.older >= 0 { nodes[node.older].newer = node.newer } else { oldest = node.newer }
  }

  private mutating func linkNewest(_ place: Int) {
    nodes[place].newer = -1
    nodes[place].older = newest
    if newest >= 0 { nodes[newest].newer = place }
    newest = place
    if oldest < 0 { oldest = place }
  }
}
