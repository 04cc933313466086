import RuleLanguage

// Parsing of the options that read numbers.
// - Source: Suricata "Payload Keywords": byte_test, byte_jump, byte_extract, byte_math, isdataat.

extension NumberShape {
  /// Takes a flag that says how the number lies; false when it is none.
  mutating func take(_ flag: String) throws(RuleValueError) -> Bool {
    switch flag {
    case "relative": isRelative = true
    case "big": isLittleEndian = false
    case "little": isLittleEndian = true
    case "string": isText = true
    // Without `string` they mean nothing: the number is binary.
    case "hex": radix = 16
    case "dec": radix = 10
    case "oct": radix = 8
    // The byte order of the DCERPC header, which is not decoded; all but a few hosts send this one.
    case "dce": isLittleEndian = true
    default:
      guard flag.hasPrefix("bitmask") else { return false }
      guard let mask = KeywordValue.unsigned(String(flag.dropFirst(7)).trimmed) ?? UInt64(String(flag.dropFirst(7)).trimmed, radix: 16) else {
        throw RuleValueError("bitmask takes a number, not \(flag.dropFirst(7))")
      }
      bitmask = mask
      hasBitmask = true
    }
    return true
  }

  /// - Parameter count: the octets of the number, where it is a constant.
  func check(_ count: Operand) throws(RuleValueError) {
    guard case .constant(let count) = count else { return }
    let most = isText ? Int64(Self.textCountMax) : 8
    guard count <= most else {
      throw RuleValueError("\(count) octets are more than the \(most) a number can have")
    }
  }
}

extension ByteTest {
  static func parse(_ value: [UInt8], _ variables: PayloadVariables) throws(RuleValueError) -> ByteTest {
    let parts = KeywordValue(value).list
    guard parts.count >= 4 else {
      throw RuleValueError(
        "byte_test takes octets, operator, value, offset", hint: "byte_test:2,>,100,0,relative")
    }
    var symbol = parts[1]
    let isNegated = symbol.hasPrefix("!")
    if isNegated { symbol = String(symbol.dropFirst()).trimmed }
    guard let comparison = Comparison(symbol: symbol.isEmpty && isNegated ? "=" : symbol) else {
      throw RuleValueError("\(parts[1]) is no operator of byte_test", hint: "one of < > = <= >= & ^ with or without !")
    }
    var shape = NumberShape()
    for flag in parts[4...] {
      guard try shape.take(flag) else { throw RuleValueError("byte_test has no option \(flag)") }
    }
    // 0 octets of text: all the digits there are.
    let count = try KeywordValue.operand(
      parts[0], variables, range: shape.isText ? 0...23 : 1...23)
    try shape.check(count)
    return ByteTest(
      shape: shape, byteCount: count, isNegated: isNegated, comparison: comparison,
      value: try unsignedOperand(parts[2], variables),
      offset: try KeywordValue.operand(parts[3], variables, range: -65_535...65_535))
  }
}

/// A 64-bit number or a variable.
private func unsignedOperand(
  _ text: String, _ variables: PayloadVariables
) throws(RuleValueError) -> Operand {
  if let number = KeywordValue.unsigned(text) { return .constant(Int64(bitPattern: number)) }
  return try KeywordValue.operand(text, variables, range: .min ... .max)
}

extension ByteTest.Comparison {
  init?(symbol: String) {
    switch symbol {
    case "<": self = .less
    case ">": self = .greater
    case "=", "==": self = .equal
    case "<=": self = .lessOrEqual
    case ">=": self = .greaterOrEqual
    case "&": self = .and
    case "^": self = .or
    default: return nil
    }
  }
}

extension ByteJump {
  static func parse(_ value: [UInt8], _ variables: PayloadVariables) throws(RuleValueError) -> ByteJump {
    let parts = KeywordValue(value).list
    guard parts.count >= 2 else {
      throw RuleValueError("byte_jump takes octets and offset", hint: "byte_jump:4,0,relative")
    }
    var jump = ByteJump(
      shape: NumberShape(), byteCount: try KeywordValue.operand(parts[0], variables, range: 0...23),
      offset: try KeywordValue.operand(parts[1], variables, range: -65_535...65_535))
    for flag in parts[2...] { try jump.take(flag, variables) }
    try jump.shape.check(jump.byteCount)
    return jump
  }

  private mutating func take(_ flag: String, _ variables: PayloadVariables) throws(RuleValueError) {
    if try shape.take(flag) { return }
    switch flag {
    case "align": isAligned = true
    case "from_beginning": fromBeginning = true
    case "from_end": fromEnd = true
    default:
      if flag.hasPrefix("multiplier"), let factor = Int64(String(flag.dropFirst(10)).trimmed),
        (1...65_535).contains(factor)
      {
        multiplier = factor
      } else if flag.hasPrefix("post_offset") {
        postOffset = try KeywordValue.operand(
          String(flag.dropFirst(11)).trimmed, variables, range: -65_535...65_535)
      } else {
        throw RuleValueError("byte_jump has no option \(flag)")
      }
    }
  }
}

extension ByteExtract {
  static func parse(
    _ value: [UInt8], _ variables: inout PayloadVariables
  ) throws(RuleValueError) -> ByteExtract {
    let parts = KeywordValue(value).list
    guard parts.count >= 3, let count = KeywordValue.number(parts[0]), (1...23).contains(count),
      let offset = KeywordValue.number(parts[1]), (-65_535...65_535).contains(offset), !parts[2].isEmpty
    else {
      throw RuleValueError(
        "byte_extract takes octets, offset and a name", hint: "byte_extract:2,0,length,relative")
    }
    var step = ByteExtract(
      shape: NumberShape(), byteCount: count, offset: offset, variable: try variables.define(parts[2]))
    for flag in parts[3...] {
      if flag == "hex" || flag == "dec" || flag == "oct", !step.shape.isText {
        throw RuleValueError("\(flag) comes after string", hint: "string,\(flag)")
      }
      if try step.shape.take(flag) { continue }
      if flag.hasPrefix("multiplier"), let factor = UInt64(String(flag.dropFirst(10)).trimmed),
        (1...65_535).contains(factor)
      {
        step.multiplier = factor
      } else if flag.hasPrefix("align"), let unit = UInt64(String(flag.dropFirst(5)).trimmed),
        unit == 2 || unit == 4
      {
        step.alignment = unit
      } else {
        throw RuleValueError("byte_extract has no option \(flag)")
      }
    }
    try step.shape.check(.constant(count))
    return step
  }
}

extension ByteMath {
  static func parse(
    _ value: [UInt8], _ variables: inout PayloadVariables
  ) throws(RuleValueError) -> ByteMath {
    var named: [String: String] = [:]
    var shape = NumberShape()
    for item in KeywordValue(value).list {
      let words = item.split(separator: " ", maxSplits: 1).map { String($0).trimmed }
      if words.count == 2, ["bytes", "offset", "oper", "rvalue", "result"].contains(words[0]) {
        named[words[0]] = words[1]
      } else if words.count == 2, words[0] == "endian" {
        _ = try shape.take(words[1])
      } else if words.count == 2, words[0] == "string" {
        _ = try shape.take("string")
        _ = try shape.take(words[1])
      } else if try !shape.take(item) {
        throw RuleValueError("byte_math has no option \(item)")
      }
    }
    guard let bytes = named["bytes"], let offsetText = named["offset"], let symbol = named["oper"],
      let right = named["rvalue"], let result = named["result"],
      let offset = KeywordValue.number(offsetText), (-65_535...65_535).contains(offset),
      let operation = Operation(symbol: symbol)
    else {
      throw RuleValueError(
        "byte_math needs bytes, offset, oper (one of + - * / << >>), rvalue and result",
        hint: "byte_math:bytes 2, offset 0, oper +, rvalue 4, result end")
    }
    let count = try KeywordValue.operand(bytes, variables, range: 1...10)
    let value = try unsignedOperand(right, variables)
    try shape.check(count)
    return ByteMath(
      shape: shape, byteCount: count, offset: offset, operation: operation, value: value,
      result: try variables.define(result))
  }
}

extension ByteMath.Operation {
  init?(symbol: String) {
    switch symbol {
    case "+": self = .add
    case "-": self = .subtract
    case "*": self = .multiply
    case "/": self = .divide
    case "<<": self = .shiftLeft
    case ">>": self = .shiftRight
    default: return nil
    }
  }
}

extension IsDataAt {
  static func parse(_ value: [UInt8], _ variables: PayloadVariables) throws(RuleValueError) -> IsDataAt {
    let parts = KeywordValue(value).list
    var position = parts.first ?? ""
    let isNegated = position.hasPrefix("!")
    if isNegated { position = String(position.dropFirst()).trimmed }
    for flag in parts.dropFirst() where flag != "relative" && flag != "rawbytes" {
      throw RuleValueError("isdataat has no option \(flag)")
    }
    return IsDataAt(
      position: try KeywordValue.operand(position, variables, range: 0...65_535),
      isRelative: parts.contains("relative"), isNegated: isNegated)
  }
}

extension Base64Instruction {
  static func parse(_ value: [UInt8]) throws(RuleValueError) -> Base64Instruction {
    var step = Base64Instruction(byteCount: 0, offset: 0, isRelative: false, isRFC2045: false)
    for item in KeywordValue(value).list where !item.isEmpty {
      let words = item.split(separator: " ", maxSplits: 1).map { String($0).trimmed }
      if item == "relative" {
        step.isRelative = true
      } else if words.count == 2, words[0] == "bytes", let count = UInt32(words[1]) {
        step.byteCount = Int64(count)
      } else if words.count == 2, words[0] == "offset", let offset = UInt32(words[1]) {
        step.offset = Int64(offset)
      } else {
        throw RuleValueError(
          "base64_decode has no option \(item)", hint: "base64_decode:bytes 64, offset 0, relative")
      }
    }
    return step
  }
}

extension EntropyTest {
  static func parse(_ value: [UInt8]) throws(RuleValueError) -> EntropyTest {
    var test = EntropyTest()
    var hasValue = false
    for item in KeywordValue(value).list {
      let words = item.split(separator: " ", maxSplits: 1).map { String($0).trimmed }
      guard words.count == 2 else { throw RuleValueError("entropy has no option \(item)") }
      switch words[0] {
      case "bytes": test.byteCount = try count(words[1])
      case "offset": test.offset = try count(words[1])
      case "value":
        try test.takeValue(words[1])
        hasValue = true
      default: throw RuleValueError("entropy has no option \(words[0])")
      }
    }
    guard hasValue else { throw RuleValueError("entropy needs a value", hint: "entropy: value >= 7.5") }
    return test
  }

  private static func count(_ text: String) throws(RuleValueError) -> Int64 {
    guard let number = UInt32(text) else { throw RuleValueError("\(text) is no number of octets") }
    return Int64(number)
  }

  private mutating func takeValue(_ text: String) throws(RuleValueError) {
    let symbols: [(String, Comparison)] = [
      (">=", .greaterOrEqual), ("<=", .lessOrEqual), ("!=", .notEqual), (">", .greater), ("<", .less),
      ("=", .equal), ("!", .notEqual), ("", .equal),
    ]
    for (symbol, comparison) in symbols where text.hasPrefix(symbol) {
      var rest = String(text.dropFirst(symbol.count)).trimmed
      self.comparison = comparison
      if let range = rest.firstRange(of: "<>") ?? rest.firstRange(of: "-"), symbol.isEmpty || symbol == "!" {
        self.comparison = symbol.isEmpty ? .between : .notBetween
        upper = try Self.bits(String(rest[range.upperBound...]).trimmed)
        rest = String(rest[..<range.lowerBound]).trimmed
      }
      self.value = try Self.bits(rest)
      return
    }
  }

  private static func bits(_ text: String) throws(RuleValueError) -> Double {
    guard let number = Double(text), (0...8).contains(number) else {
      throw RuleValueError("entropy values lie between 0.0 and 8.0, and \(text) does not")
    }
    return number
  }
}
