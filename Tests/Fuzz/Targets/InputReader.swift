/// Takes a fuzzer's input apart; at its end everything reads as 0 or nothing.
public struct InputReader {
  private let bytes: [UInt8]
  private var index = 0

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public var isAtEnd: Bool { index >= bytes.count }

  public mutating func u8() -> UInt8 {
    guard index < bytes.count else { return 0 }
    defer { index += 1 }
    return bytes[index]
  }

  public mutating func u16() -> UInt16 { UInt16(u8()) | UInt16(u8()) << 8 }

  public mutating func take(_ count: Int) -> [UInt8] {
    let end = min(bytes.count, index + max(0, count))
    defer { index = end }
    return Array(bytes[index..<end])
  }

  public mutating func rest() -> [UInt8] { take(bytes.count) }
}
