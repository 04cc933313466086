/// The `stats` object: counters by dotted names ("decoder.pkts") as nested objects.
/// - Source: Suricata 8, EVE JSON format, "Event type: Stats".
public enum StatsRecord {
  /// Writes the members; the caller opens and closes the object.
  public static func write(
    _ counters: [(name: String, value: UInt64)], uptimeSeconds: UInt64, into json: inout JSONWriter
  ) {
    json.member("uptime", uptimeSeconds)
    write(counters, into: &json)
  }

  /// The same without the time since the start.
  static func write(_ counters: [(name: String, value: UInt64)], into json: inout JSONWriter) {
    let paths = counters.map { counter in
      (counter.name.split(separator: ".").map(String.init), counter.value)
    }
    write(paths[...], depth: 0, into: &json)
  }

  /// Counters with the same beginning are gathered, in the order in which it first occurs.
  private static func write(
    _ counters: ArraySlice<([String], UInt64)>, depth: Int, into json: inout JSONWriter
  ) {
    var done: Set<String> = []
    for (path, value) in counters where path.count > depth && !done.contains(path[depth]) {
      let name = path[depth]
      done.insert(name)
      json.key(text: Array(name.utf8))
      let below = counters.filter { $0.0.count > depth + 1 && $0.0[depth] == name }
      if below.isEmpty {
        json.number(value)
      } else {
        json.beginObject()
        write(below[...], depth: depth + 1, into: &json)
        json.endObject()
      }
    }
  }
}
