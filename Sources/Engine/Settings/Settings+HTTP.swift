import AppLayer

extension Settings {
  mutating func readHTTP(_ reader: inout SettingsReader) throws(SettingsError) {
    let path = "app-layer.protocols.http.libhtp.default-config."
    if let name = try reader.text(path + "personality") {
      let known = name.lowercased().filter { $0 != "_" }
      if let personality = HTTPSettings.Personality(rawValue: known == "apache" ? "apache2" : known) {
        inspection.appLayer.http.personality = personality
      } else {
        warnings.append("\(reader.file): \(path)personality: \(name) is read as IDS")
      }
    }
    inspection.appLayer.http.requestBodyLimitBytes = try bodyLimit(&reader, path + "request-body-limit")
    inspection.appLayer.http.responseBodyLimitBytes = try bodyLimit(&reader, path + "response-body-limit")
    try readPace(&reader, path + "request-body-", &inspection.appLayer.http.requestPace)
    try readPace(&reader, path + "response-body-", &inspection.appLayer.http.responsePace)
    if let layers = try reader.number(path + "response-body-decompress-layer-limit") {
      inspection.appLayer.http.responseBodyDecompressLayerLimit = layers
    }
    if let double = try reader.flag(path + "double-decode-path") {
      inspection.appLayer.http.doubleDecodePath = double
    }
    if let double = try reader.flag(path + "double-decode-query") {
      inspection.appLayer.http.doubleDecodeQuery = double
    }
    if let limit = try reader.size(path + "meta-field-limit") {
      inspection.appLayer.http.metaFieldLimitBytes = limit
    }
  }

  mutating func readHTTP2(_ reader: inout SettingsReader) throws(SettingsError) {
    let path = "app-layer.protocols.http2."
    if let count = try reader.number(path + "max-streams") { inspection.appLayer.http2.streamCountMax = count }
    if let size = try reader.size(path + "max-table-size") {
      inspection.appLayer.http2.tableSizeMax = min(size, 16_777_216)
    }
    if let size = try reader.size(path + "max-reassembly-size") {
      inspection.appLayer.http2.frameBytesMax = max(size, HTTP2Settings.frameBytesLeast)
    }
    if let count = try reader.number(path + "max-resets-per-second") {
      inspection.appLayer.http2.resetsPerSecondMax = count
    }
    if let count = try reader.number(path + "max-control-frames-per-second") {
      inspection.appLayer.http2.controlFramesPerSecondMax = count
    }
  }

  private func readPace(
    _ reader: inout SettingsReader, _ path: String, _ pace: inout HTTPSettings.BodyPace
  ) throws(SettingsError) {
    if let size = try reader.size(path + "minimal-inspect-size") { pace.leastBytes = UInt64(max(0, size)) }
    if let size = try reader.size(path + "inspect-window") { pace.stepBytes = UInt64(max(1, size)) }
  }

  /// 0 stands for no limit.
  private func bodyLimit(
    _ reader: inout SettingsReader, _ path: String
  ) throws(SettingsError) -> UInt64? {
    guard let size = try reader.size(path), size > 0 else { return nil }
    return UInt64(size)
  }
}
