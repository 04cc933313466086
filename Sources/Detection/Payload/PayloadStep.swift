import RuleLanguage

/// One step in the form that matching runs: plain data, indexes instead of references.
/// Nearly all are contents, and each takes the room of the largest.
enum PayloadStep: Sendable {
  case content(ContentInstruction)
  case pcre(ExpressionInstruction)
  case byteTest(ByteTest)
  case byteJump(ByteJump)
  case byteExtract(ByteExtract)
  case byteMath(ByteMath)
  case isDataAt(IsDataAt)
  /// `bsize`, `urilen`: the length of the buffer as a whole.
  case size(NumericCondition)
  case base64(Base64Instruction)
  case entropy(EntropyTest)
  /// Index of the look-up in the program's datasets.
  case dataset(Int32)
  case asn1(ASN1Test)
}

struct ExpressionInstruction: Sendable, BitwiseCopyable {
  var index: Int32
  var isNegated: Bool
  var isRelative: Bool
  var anchorsNext = false
}

/// How a number lies in the bytes.
struct NumberShape: Sendable, BitwiseCopyable {
  /// First, so that what follows the shape in a step follows it closely.
  var bitmask: UInt64 = 0
  /// Digits (`string`) rather than a binary number.
  var isText = false
  /// Of the digits: 8, 10 or 16.
  var radix: UInt8 = 10
  var isLittleEndian = false
  var isRelative = false
  var hasBitmask = false
}

struct ByteTest: Sendable, BitwiseCopyable {
  enum Comparison: UInt8, Sendable, BitwiseCopyable {
    case less, greater, equal, lessOrEqual, greaterOrEqual, and, or
  }
  var shape: NumberShape
  var byteCount: Operand
  var isNegated: Bool
  var comparison: Comparison
  var value: Operand
  var offset: Operand
}

struct ByteJump: Sendable, BitwiseCopyable {
  var shape: NumberShape
  var byteCount: Operand
  var offset: Operand
  var multiplier: Int64 = 1
  var postOffset: Operand = .constant(0)
  var isAligned = false
  var fromBeginning = false
  var fromEnd = false
}

struct ByteExtract: Sendable, BitwiseCopyable {
  var shape: NumberShape
  var byteCount: Int64
  var offset: Int64
  var variable: UInt8
  var multiplier: UInt64 = 1
  /// 0, 2 or 4: the value is rounded up to a multiple of it.
  var alignment: UInt64 = 0
}

struct ByteMath: Sendable, BitwiseCopyable {
  enum Operation: UInt8, Sendable, BitwiseCopyable {
    case add, subtract, multiply, divide, shiftLeft, shiftRight
  }
  var shape: NumberShape
  var byteCount: Operand
  var offset: Int64
  var operation: Operation
  var value: Operand
  var result: UInt8
}

struct IsDataAt: Sendable, BitwiseCopyable {
  var position: Operand
  var isRelative: Bool
  var isNegated: Bool
}

struct Base64Instruction: Sendable, BitwiseCopyable {
  /// Octets of encoded text at most, 0 for all.
  var byteCount: Int64
  var offset: Int64
  var isRelative: Bool
  var isRFC2045: Bool
  /// Index of the program over the decoded bytes, -1 when the rule only asks that it decodes.
  var nested: Int32 = -1
}

struct EntropyTest: Sendable, BitwiseCopyable {
  var offset: Int64 = 0
  var byteCount: Int64 = 0
  enum Comparison: UInt8, Sendable, BitwiseCopyable {
    case less, greater, equal, notEqual, lessOrEqual, greaterOrEqual
    /// Between `value` and `upper`, both left out; or not.
    case between, notBetween
  }
  var comparison = Comparison.equal
  /// Bits per octet, 0…8.
  var value: Double = 0
  var upper: Double = 0
}
