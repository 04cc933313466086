import Glibc
import Traffic

extension EntropyTest {
  /// Shannon entropy of the octets asked for, in bits per octet; nil where there are none.
  func entropy(of bytes: RawSpan) -> Double? {
    let start = Int(clamping: offset)
    guard start >= 0, start < bytes.byteCount else { return nil }
    let available = bytes.byteCount - start
    let count = byteCount > 0 ? min(Int(byteCount), available) : available
    return Self.entropy(bytes.extracting(start..<start + count))
  }

  func holds(for entropy: Double) -> Bool {
    switch comparison {
    case .less: return entropy < value
    case .greater: return entropy > value
    case .equal: return entropy == value
    case .lessOrEqual: return entropy <= value
    case .greaterOrEqual: return entropy >= value
    case .notEqual: return entropy != value
    case .between: return entropy > value && entropy < upper
    case .notBetween: return entropy <= value || entropy >= upper
    }
  }

  static func entropy(_ bytes: RawSpan) -> Double {
    guard bytes.byteCount > 0 else { return 0 }
    var counts = [Int](repeating: 0, count: 256)
    for index in 0..<bytes.byteCount { counts[Int(bytes.u8(at: index))] += 1 }
    let total = Double(bytes.byteCount)
    return counts.reduce(0) { sum, count in
      count == 0 ? sum : sum - Double(count) / total * log2(Double(count) / total)
    }
  }
}
