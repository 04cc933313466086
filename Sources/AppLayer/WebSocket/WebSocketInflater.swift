import CSluiceCompression
import Traffic

// SAFETY: the z_stream is allocated once, owned by this object alone and never moves; `next_in` and
// `next_out` point into buffers that outlive the one call of `inflate` between setting and use.

/// Undoes permessage-deflate of one direction; its window lives on from message to message.
///
/// - Source: RFC 7692 section 7.2.2.
@safe final class WebSocketInflater {
  private let stream: UnsafeMutablePointer<z_stream>
  private var isOpen = false
  private(set) var hasFailed = false

  private static let outputCount = 32_768

  init() {
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    isOpen = unsafe sluice_inflate_init(stream, -15) == Z_OK
    hasFailed = !isOpen
  }

  deinit {
    if isOpen { _ = unsafe inflateEnd(stream) }
    unsafe stream.deinitialize(count: 1)
    unsafe stream.deallocate()
  }

  /// - Parameter output: takes decoded octets; false stops.
  func write(_ bytes: [UInt8], _ output: (RawSpan) -> Bool) {
    guard !hasFailed else { return }
    var input = bytes
    var room = [UInt8](repeating: 0, count: Self.outputCount)
    let inputCount = input.count
    unsafe input.withUnsafeMutableBufferPointer { input in
      unsafe room.withUnsafeMutableBufferPointer { room in
        unsafe stream.pointee.next_in = input.baseAddress
        unsafe stream.pointee.avail_in = UInt32(truncatingIfNeeded: inputCount)
        while true {
          unsafe stream.pointee.next_out = room.baseAddress
          unsafe stream.pointee.avail_out = UInt32(Self.outputCount)
          let result = unsafe inflate(stream, Z_SYNC_FLUSH)
          let produced = Self.outputCount - Int(unsafe stream.pointee.avail_out)
          if produced > 0 {
            let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: room[0..<produced])))
            if !output(span) {
              hasFailed = true
              return
            }
          }
          if result == Z_STREAM_END { _ = unsafe inflateReset(stream) }
          guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else {
            hasFailed = true
            return
          }
          if unsafe stream.pointee.avail_out > 0, unsafe stream.pointee.avail_in == 0 || result == Z_BUF_ERROR { return }
        }
      }
    }
  }
}
