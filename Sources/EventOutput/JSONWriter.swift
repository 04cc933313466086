import Traffic

/// Writes JSON text, one value after the other, into bytes that are kept and reused.
///
/// Nothing is checked: who calls keeps objects and arrays balanced and writes a value after each
/// key. Keys are literals of the code and need no escaping.
public struct JSONWriter {
  public private(set) var bytes: [UInt8] = []
  /// A comma is due before the next key or element.
  private var needsComma = false

  public init(capacity: Int = 4096) { bytes.reserveCapacity(capacity) }

  /// Forgets the text, keeps the memory.
  public mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    needsComma = false
  }

  /// Ends a line of JSON.
  public mutating func endLine() {
    bytes.append(0x0a)
    needsComma = false
  }

  // MARK: Structure

  public mutating func beginObject() { open(UInt8(ascii: "{")) }
  public mutating func endObject() { close(UInt8(ascii: "}")) }
  public mutating func beginArray() { open(UInt8(ascii: "[")) }
  public mutating func endArray() { close(UInt8(ascii: "]")) }

  public mutating func beginObject(_ key: StaticString) {
    self.key(key)
    beginObject()
  }

  public mutating func beginArray(_ key: StaticString) {
    self.key(key)
    beginArray()
  }

  public mutating func key(_ name: StaticString) {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    bytes.append(UInt8(ascii: "\""))
    raw(name)
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  /// A key that comes from outside.
  public mutating func key(text: [UInt8]) {
    string(text)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  private mutating func open(_ bracket: UInt8) {
    separate()
    bytes.append(bracket)
    needsComma = false
  }

  private mutating func close(_ bracket: UInt8) {
    bytes.append(bracket)
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    needsComma = true
  }

  // MARK: Values

  public mutating func string(_ text: RawSpan) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    JSONText.appendEscaped(text, to: &bytes)
    bytes.append(UInt8(ascii: "\""))
  }

  public mutating func string(_ text: [UInt8]) { string(text.rawSpan) }

  /// A literal of the code that needs no escaping.
  public mutating func string(_ text: StaticString) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    raw(text)
    bytes.append(UInt8(ascii: "\""))
  }

  // SAFETY: octets have no padding; the view lives in this call only.
  public mutating func string(text: String) { unsafe string(text.utf8.span.bytes) }

  public mutating func number<Number: FixedWidthInteger>(_ value: Number) {
    separate()
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    JSONText.appendDecimal(UInt64(value.magnitude), to: &bytes)
  }

  public mutating func bool(_ value: Bool) {
    separate()
    raw(value ? "true" : "false")
  }

  /// JSON text made before: a value, or members of the object that is open.
  public mutating func prepared(_ text: [UInt8]) {
    guard !text.isEmpty else { return }
    separate()
    bytes.append(text.rawSpan)
  }

  /// A string whose text `body` appends; it writes only characters that need no escaping.
  public mutating func string(_ body: (inout [UInt8]) -> Void) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    body(&bytes)
    bytes.append(UInt8(ascii: "\""))
  }

  // SAFETY: a static string's storage lives as long as the program, and the length is its own.
  private mutating func raw(_ text: StaticString) {
    unsafe bytes.append(
      contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  // MARK: Members

  public mutating func member(_ key: StaticString, _ value: StaticString) {
    self.key(key)
    string(value)
  }

  public mutating func member(_ key: StaticString, _ value: [UInt8]) {
    self.key(key)
    string(value)
  }

  public mutating func member(_ key: StaticString, text value: String) {
    self.key(key)
    string(text: value)
  }

  public mutating func member<Number: FixedWidthInteger>(_ key: StaticString, _ value: Number) {
    self.key(key)
    number(value)
  }

  public mutating func member(_ key: StaticString, _ value: Bool) {
    self.key(key)
    bool(value)
  }

  /// Nothing when there is no value.
  public mutating func member(_ key: StaticString, ifPresent value: [UInt8]?) {
    if let value { member(key, value) }
  }
}
