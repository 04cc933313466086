import CSluiceNGHTTP2
import Traffic

// SAFETY: the inflater is made, used and destroyed by this object alone. Input is lent for the one call
// that reads it; names and values are read before the next call, which is how long nghttp2 keeps them.

/// Decodes the header blocks of one direction of a connection.
///
/// - Source: RFC 7541, by nghttp2's decoder. The table may grow to `tableSizeMax` whatever the other
///   side has announced: when an announcement takes effect an onlooker cannot tell.
/// - Invariant: after a failure the decoder starts over with an empty table, so that fields sent as
///   literals, and those of the static table, are still understood.
@safe final class HPACKInflater {
  private var inflater: OpaquePointer?
  private let tableSizeMax: Int

  init(tableSizeMax: Int) {
    self.tableSizeMax = tableSizeMax
    open()
  }

  deinit { close() }

  private func open() {
    var made: OpaquePointer?
    guard unsafe nghttp2_hd_inflate_new(&made) == 0, let made = unsafe made else { return }
    _ = unsafe nghttp2_hd_inflate_change_table_size(made, max(4096, tableSizeMax))
    unsafe inflater = unsafe made
  }

  private func close() {
    if let open = unsafe inflater { unsafe nghttp2_hd_inflate_del(open) }
    unsafe inflater = nil
  }

  private func startOver() {
    close()
    open()
  }

  /// Decodes a part of a header block.
  ///
  /// - Parameters:
  ///   - isFinal: the block ends here.
  ///   - emit: takes name and value of each field.
  /// - Returns: false where the block is malformed; fields before that have been emitted.
  func inflate(_ block: RawSpan, isFinal: Bool, _ emit: (RawSpan, RawSpan) -> Void) -> Bool {
    let isGood = unsafe block.withUnsafeBytes { unsafe run($0, isFinal, emit) }
    if !isGood { startOver() }
    return isGood
  }

  private func run(
    _ input: UnsafeRawBufferPointer, _ isFinal: Bool, _ emit: (RawSpan, RawSpan) -> Void
  ) -> Bool {
    guard let open = unsafe inflater else { return false }
    var nothing: UInt8 = 0
    return unsafe withUnsafePointer(to: &nothing) { none in
      var next = unsafe input.bindMemory(to: UInt8.self).baseAddress ?? none
      var left = input.count
      while true {
        var field = unsafe nghttp2_nv()
        var flags: Int32 = 0
        let used = unsafe nghttp2_hd_inflate_hd2(open, &field, &flags, next, left, isFinal ? 1 : 0)
        guard used >= 0 else { return false }
        unsafe next += used
        left -= min(left, used)
        if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
          let name = unsafe UnsafeRawBufferPointer(start: field.name, count: field.namelen)
          let value = unsafe UnsafeRawBufferPointer(start: field.value, count: field.valuelen)
          unsafe emit(RawSpan(_unsafeBytes: name), RawSpan(_unsafeBytes: value))
        }
        if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 {
          _ = unsafe nghttp2_hd_inflate_end_headers(open)
          return true
        }
        if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) == 0, left == 0 { return true }
        // Nothing used and nothing emitted cannot go on for ever.
        if used == 0, flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) == 0 { return false }
      }
    }
  }

  /// The table sizes that the encoder announces at the start of a block (RFC 7541 section 6.3).
  ///
  /// - Returns: the sizes, and whether one of them does not fit into 32 bits.
  static func sizeUpdates(_ block: RawSpan) -> (sizes: [UInt64], overflows: Bool) {
    var sizes: [UInt64] = []
    var reader = ByteReader(block)
    while sizes.count < 16, reader.rest().byteCount > 0, reader.rest().u8(at: 0) & 0xe0 == 0x20 {
      guard let first = reader.u8() else { break }
      var value = UInt64(first & 0x1f)
      if value == 31 {
        var shift: UInt64 = 0
        while let octet = reader.u8() {
          // Five groups of seven bits exceed 32 bits already.
          guard shift <= 28 else { return (sizes, true) }
          value &+= UInt64(octet & 0x7f) << shift
          shift &+= 7
          if octet & 0x80 == 0 { break }
        }
        if value > UInt64(UInt32.max) { return (sizes, true) }
      }
      sizes.append(value)
    }
    return (sizes, false)
  }
}
