import Traffic

/// The byte order of the host that wrote a capture.
enum ByteOrder {
  case little, big
}

// The reads trap outside the span, as those of `Traffic` do: callers check the length first.
extension RawSpan {
  @inline(__always)
  func u16(at index: Int, _ order: ByteOrder) -> UInt16 {
    order == .big ? u16(at: index) : u16(at: index).byteSwapped
  }

  @inline(__always)
  func u32(at index: Int, _ order: ByteOrder) -> UInt32 {
    order == .big ? u32(at: index) : u32(at: index).byteSwapped
  }

  @inline(__always)
  func u64(at index: Int, _ order: ByteOrder) -> UInt64 {
    order == .big ? u64(at: index) : u64(at: index).byteSwapped
  }
}
