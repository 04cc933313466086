import Traffic

/// Reads the values that a test gives its traffic.
struct TestKeys {
  private let keys: [String: [UInt8]]

  init(_ test: RuleTest) { keys = test.keys }

  func bytes(_ name: String) -> [UInt8]? { keys[name] }

  func text(_ name: String) -> String? { keys[name].map { String(decoding: $0, as: UTF8.self) } }

  func number<Number: FixedWidthInteger>(
    _ name: String, default value: Number, in range: ClosedRange<Number>? = nil
  ) throws(RuleTestProblem) -> Number {
    guard let text = text(name) else { return value }
    let range = range ?? Number.min...Number.max
    guard let number = Number(text), range.contains(number) else {
      throw RuleTestProblem("\(name)= is a number from \(range.lowerBound) to \(range.upperBound), not \(text)")
    }
    return number
  }

  func address(_ name: String, default text: String) throws(RuleTestProblem) -> IPAddress {
    let text = self.text(name) ?? text
    guard let address = IPAddress(text), address.isIPv4 else {
      throw RuleTestProblem("\(name)= is an IPv4 address, not \(text)")
    }
    return address
  }

  /// Hexadecimal numbers with commas between them; none when the value is empty.
  func numbers<Number: FixedWidthInteger>(
    _ name: String, default text: String, _: Number.Type
  ) throws(RuleTestProblem) -> [Number] {
    var numbers: [Number] = []
    for part in (self.text(name) ?? text).split(separator: ",") {
      guard let number = Number(part, radix: 16) else {
        throw RuleTestProblem("\(name)= is hexadecimal numbers with commas, not \(part)")
      }
      numbers.append(number)
    }
    return numbers
  }
}
