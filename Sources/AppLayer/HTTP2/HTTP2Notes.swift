/// What the frames of one direction of a stream said, for keywords and records.
///
/// - Limits: `frameNotesMax` of each kind; beyond, the oldest half goes.
public struct HTTP2Notes: Sendable {
  /// Each type once.
  public internal(set) var types: [UInt8] = []
  /// Of RST_STREAM.
  public internal(set) var resetCodes: [UInt32] = []
  /// Of GOAWAY.
  public internal(set) var goAwayCodes: [UInt32] = []
  public internal(set) var priorities: [UInt8] = []
  public internal(set) var windows: [UInt32] = []
  public internal(set) var settings: [(id: UInt16, value: UInt32)] = []
  public internal(set) var sizeUpdates: [UInt64] = []
  public internal(set) var fields = HTTP2FieldList()

  mutating func note(type: UInt8) {
    if !types.contains(type) { types.append(type) }
  }

  /// Adds to one of the lists.
  ///
  /// - Returns: false where older ones had to go.
  static func add<Value>(_ value: Value, to list: inout [Value], max: Int) -> Bool {
    list.append(value)
    guard list.count > max else { return true }
    list.removeFirst(list.count - max / 2)
    return false
  }
}

/// The fields of header blocks in the order sent, each as "name: value".
public struct HTTP2FieldList: Sendable {
  public struct Entry: Sendable {
    public let name: Range<Int>
    public let value: Range<Int>
    /// This is none but a change of the table's size.
    public let sizeUpdate: UInt64?
  }

  public private(set) var bytes: [UInt8] = []
  public private(set) var entries: [Entry] = []
  private var sizeUpdateCount = 0

  public var fieldCount: Int { entries.count - sizeUpdateCount }

  mutating func append(name: [UInt8], value: [UInt8]) {
    let start = bytes.count
    bytes += name
    let colon = bytes.count
    bytes.append(HTTPText.colon)
    bytes.append(HTTPText.space)
    let valueStart = bytes.count
    bytes += value
    entries.append(Entry(name: start..<colon, value: valueStart..<bytes.count, sizeUpdate: nil))
  }

  mutating func append(sizeUpdate: UInt64) {
    sizeUpdateCount += 1
    entries.append(Entry(name: 0..<0, value: 0..<0, sizeUpdate: sizeUpdate))
  }

  mutating func append(_ other: HTTP2FieldList) {
    if entries.isEmpty {
      self = other
      return
    }
    let shift = bytes.count
    bytes += other.bytes
    sizeUpdateCount += other.sizeUpdateCount
    for entry in other.entries {
      entries.append(
        Entry(
          name: entry.name.lowerBound + shift..<entry.name.upperBound + shift,
          value: entry.value.lowerBound + shift..<entry.value.upperBound + shift,
          sizeUpdate: entry.sizeUpdate))
    }
  }

  /// The field at that place among the fields.
  func field(_ index: Int) -> Entry? {
    guard sizeUpdateCount > 0 else { return index < entries.count ? entries[index] : nil }
    var seen = 0
    for entry in entries where entry.sizeUpdate == nil {
      if seen == index { return entry }
      seen += 1
    }
    return nil
  }

  /// The last field of that name (lower case), whatever its case.
  func last(_ name: StaticString) -> Range<Int>? {
    entries.last { $0.sizeUpdate == nil && HTTPText.equals(bytes, $0.name, name) }?.value
  }

  func first(_ name: StaticString) -> Range<Int>? {
    entries.first { $0.sizeUpdate == nil && HTTPText.equals(bytes, $0.name, name) }?.value
  }
}
