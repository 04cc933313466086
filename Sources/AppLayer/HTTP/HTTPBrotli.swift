import CSluiceCompression
import Traffic

// SAFETY: the decoder is made, used and destroyed by this object alone; the pointers handed to it are
// valid for the one call that uses them, and the counts beside them are those of their buffers.

/// Undoes the Brotli coding (`br`).
///
/// - Source: RFC 7932. Data that is none, or breaks off, is passed on as it is from about there: the
///   decoder reads ahead and does not tell by how much.
@safe final class HTTPBrotli: HTTPDecodingStage {
  private var decoder: OpaquePointer?
  private var isOver = false
  /// Input before the first output: shown as it is when it turns out to be something else.
  private var held: [UInt8] = []
  private var hasOutput = false
  private(set) var hasFailed = false

  private static let outputCount = 32_768
  private static let heldCountMax = 65_536

  init() { unsafe decoder = BrotliDecoderCreateInstance(nil, nil, nil) }

  deinit { close() }

  private func close() {
    if let open = unsafe decoder { unsafe BrotliDecoderDestroyInstance(open) }
    unsafe decoder = nil
  }

  func write(_ bytes: RawSpan, _ output: (RawSpan) -> Bool) -> Bool {
    if isOver { return true }
    if hasFailed { return output(bytes) }
    if !hasOutput, held.count < Self.heldCountMax { held.append(bytes) }
    return unsafe withUnsafeTemporaryAllocation(byteCount: Self.outputCount, alignment: 1) { room in
      unsafe bytes.withUnsafeBytes { unsafe run($0, room, output) }
    }
  }

  func finish(_ output: (RawSpan) -> Bool) -> Bool {
    guard !hasOutput, !isOver, !hasFailed, !held.isEmpty else { return true }
    return fail([], output)
  }

  private func run(
    _ input: UnsafeRawBufferPointer, _ room: UnsafeMutableRawBufferPointer, _ output: (RawSpan) -> Bool
  ) -> Bool {
    var inputLeft = input.count
    var next = unsafe input.bindMemory(to: UInt8.self).baseAddress
    while let open = unsafe decoder {
      var outputLeft = room.count
      var target = unsafe room.bindMemory(to: UInt8.self).baseAddress
      let result = unsafe BrotliDecoderDecompressStream(
        open, &inputLeft, &next, &outputLeft, &target, nil)
      let produced = room.count - outputLeft
      if produced > 0 {
        hasOutput = true
        held = []
        let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: room[0..<produced]))
        if !output(span) { return false }
      }
      if result == BROTLI_DECODER_RESULT_SUCCESS {
        isOver = true
        close()
        return true
      }
      if result == BROTLI_DECODER_RESULT_ERROR {
        return fail(unsafe [UInt8](input.suffix(inputLeft)), output)
      }
      if result == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT { return true }
    }
    return true
  }

  /// Not Brotli, or no longer: what is left comes out as it is.
  private func fail(_ rest: [UInt8], _ output: (RawSpan) -> Bool) -> Bool {
    close()
    hasFailed = true
    let raw = hasOutput ? rest : held
    held = []
    return raw.isEmpty || output(raw.rawSpan)
  }
}
