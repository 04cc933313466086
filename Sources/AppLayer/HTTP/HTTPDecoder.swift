import Traffic

/// The content codings of a body, undone one after another.
///
/// - Limits: `responseBodyDecompressLayerLimit` codings; a body that grows beyond
///   `compressionBombLimitBytes` at more than `compressionBombRatio` times its coded size is cut,
///   with an event.
struct HTTPDecoder {
  /// In the order in which data passes them.
  private var stages: [any HTTPDecodingStage] = []
  private var codedCount: UInt64 = 0
  private var decodedCount: UInt64 = 0
  private(set) var isBomb = false

  /// Nothing is coded, or nothing that can be undone.
  var isIdentity: Bool { stages.isEmpty }
  var hasFailed: Bool { stages.contains { $0.hasFailed } }

  init() {}

  /// - Parameter coding: the value of Content-Encoding; codings in the order they were applied.
  init(_ bytes: [UInt8], _ coding: Range<Int>, layerLimit: Int, events: inout [HTTPEvent]) {
    guard layerLimit > 0 else { return }
    if HTTPText.equalsIgnoringNUL(bytes, coding, "br") {
      stages = [HTTPBrotli()]
      return
    }
    // Not known to Suricata; browsers and servers have it by now.
    if HTTPText.equalsIgnoringNUL(bytes, coding, "zstd") {
      stages = [HTTPZstd()]
      return
    }
    if let format = Self.exact(bytes, coding) {
      if let format { stages = [HTTPInflater(format)] }
      return
    }
    var layerCount = 0
    for name in bytes[coding].split(whereSeparator: { $0 == 44 || $0 == 32 }) {
      layerCount += 1
      if layerCount > layerLimit {
        events.append(.tooManyEncodingLayers)
        break
      }
      let range = name.startIndex..<name.endIndex
      if HTTPText.containsIgnoringNUL(bytes, range, "gzip") {
        if !HTTPText.isExactly(bytes, range, "gzip"), !HTTPText.isExactly(bytes, range, "x-gzip") {
          events.append(.abnormalContentEncoding)
        }
        stages.insert(HTTPInflater(.gzip), at: 0)
      } else if HTTPText.containsIgnoringNUL(bytes, range, "deflate") {
        if !HTTPText.isExactly(bytes, range, "deflate"),
          !HTTPText.isExactly(bytes, range, "x-deflate")
        {
          events.append(.abnormalContentEncoding)
        }
        stages.insert(HTTPInflater(.raw), at: 0)
      } else if HTTPText.isExactly(bytes, range, "br") {
        stages.insert(HTTPBrotli(), at: 0)
      } else if HTTPText.isExactly(bytes, range, "zstd") {
        stages.insert(HTTPZstd(), at: 0)
      } else if !["inflate", "none", "lzma", "identity"].contains(where: {
        HTTPText.isExactly(bytes, range, $0)
      }) {
        events.append(.abnormalContentEncoding)
      }
    }
  }

  /// A value that is one known coding and nothing else; the inner nil means no coding.
  private static func exact(_ bytes: [UInt8], _ range: Range<Int>) -> HTTPInflater.Format?? {
    for name: StaticString in ["gzip", "x-gzip"]
    where HTTPText.equalsIgnoringNUL(bytes, range, name) { return .some(.gzip) }
    for name: StaticString in ["deflate", "x-deflate"]
    where HTTPText.equalsIgnoringNUL(bytes, range, name) { return .some(.raw) }
    for name: StaticString in ["lzma", "inflate", "none"]
    where HTTPText.equalsIgnoringNUL(bytes, range, name) { return .some(nil) }
    return nil
  }

  mutating func write(_ bytes: RawSpan, _ settings: HTTPSettings, _ output: (RawSpan) -> Void) {
    codedCount &+= UInt64(bytes.byteCount)
    guard !isBomb else { return }
    var decoded = decodedCount
    let coded = codedCount
    let wentThrough = Self.pass(bytes, stages[...]) { span in
      output(span)
      decoded &+= UInt64(span.byteCount)
      return !Self.isBomb(coded: coded, decoded: decoded, settings)
    }
    decodedCount = decoded
    if !wentThrough { isBomb = true }
  }

  mutating func finish(_ output: (RawSpan) -> Void) {
    guard !isBomb else { return }
    for i in stages.indices {
      let rest = stages[(i + 1)...]
      _ = stages[i].finish { span in
        Self.pass(span, rest) {
          output($0)
          return true
        }
      }
    }
  }

  private static func pass(
    _ bytes: RawSpan, _ stages: ArraySlice<any HTTPDecodingStage>, _ output: (RawSpan) -> Bool
  ) -> Bool {
    guard let first = stages.first else { return output(bytes) }
    return first.write(bytes) { pass($0, stages.dropFirst(), output) }
  }

  private static func isBomb(coded: UInt64, decoded: UInt64, _ settings: HTTPSettings) -> Bool {
    guard decoded > settings.compressionBombLimitBytes else { return false }
    let (bound, overflow) = coded.multipliedReportingOverflow(by: settings.compressionBombRatio)
    return !overflow && decoded > bound
  }
}
