/// Sets of addresses or ports, each with a number for the text of its expression. Number 0 is any.
struct SetNumbers<Value: Sendable>: Sendable {
  /// By their numbers.
  private(set) var values: [Value]
  /// Which expression gave each of them its number.
  private var texts: [String] = [""]
  private var numbers: [String: UInt32] = [:]

  init(any: Value) { values = [any] }

  func number(_ text: String) -> UInt32? { numbers[text] }

  mutating func add(_ value: Value, isAny: Bool, as text: String) -> UInt32 {
    let number = isAny ? 0 : UInt32(truncatingIfNeeded: values.count)
    if !isAny {
      values.append(value)
      texts.append(text)
    }
    numbers[text] = number
    return number
  }

  /// Takes up the sets of another, in the order of their numbers.
  ///
  /// - Returns: the number here, by the number there.
  mutating func merge(_ other: SetNumbers) -> [UInt32] {
    var result: [UInt32] = [0]
    for (value, text) in zip(other.values, other.texts).dropFirst() {
      result.append(number(text) ?? add(value, isAny: false, as: text))
    }
    return result
  }
}
