import AppLayer
import Traffic

/// The `quic` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: QUIC".
public enum QUICRecord {
  /// Writes the members; the caller opens and closes the object.
  public static func write(_ tx: QUICTransaction, into json: inout JSONWriter) {
    json.member("version", text: version(tx.version))
    if let sni = tx.sni { json.member("sni", sni) }
    if let agent = tx.google?.userAgent { json.member("ua", agent) }
    if let google = tx.google {
      json.beginArray("cyu")
      write(hash: Digest.md5.hex(google.fingerprint), string: google.fingerprint, into: &json)
      json.endArray()
    }
    if let hash = tx.ja3Hash, let string = tx.ja3 {
      json.key("ja3")
      write(hash: hash, string: string, into: &json)
    }
    if let hash = tx.ja3sHash, let string = tx.ja3s {
      json.key("ja3s")
      write(hash: hash, string: string, into: &json)
    }
    if let ja4 = tx.ja4 { json.member("ja4", ja4) }
    writeExtensions(tx, into: &json)
  }

  private static func write(hash: [UInt8], string: [UInt8], into json: inout JSONWriter) {
    json.beginObject()
    json.member("hash", hash)
    json.member("string", string)
    json.endObject()
  }

  private static func version(_ number: UInt32) -> String {
    if number == 0x6b33_43cf { return "v2" }
    if number >> 24 == 0x51 {
      return String(decoding: (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - UInt32($0) * 8)) }, as: UTF8.self)
    }
    return number == 1 ? "1" : String(number, radix: 16)
  }

  /// By IANA's registry.
  private static let names: [UInt16: String] = [
    0: "server_name", 1: "max_fragment_length", 2: "client_certificate_url", 3: "trusted_ca_keys", 4:
    "truncated_hmac", 5: "status_request", 6: "user_mapping", 7: "client_authz", 8: "server_authz", 9:
    "cert_type", 10: "supported_groups", 11: "ec_point_formats", 12: "srp", 13: "signature_algorithms", 14:
    "use_srtp", 15: "heartbeat", 16: "alpn", 17: "status_request_v2", 18: "signed_certificate_timestamp",
    19: "client_certificate_type", 20: "server_certificate_type", 21: "padding", 22: "encrypt_then_mac", 23:
    "extended_master_secret", 24: "token_binding", 25: "cached_info", 27: "compress_certificate", 28:
    "record_size_limit", 34: "delegated_credentials", 35: "session_ticket", 41: "pre_shared_key", 42:
    "early_data", 43: "supported_versions", 44: "cookie", 45: "psk_key_exchange_modes", 47:
    "certificate_authorities", 48: "oid_filters", 49: "post_handshake_auth", 50:
    "signature_algorithms_cert", 51: "key_share", 57: "quic_transport_parameters", 65281:
    "renegotiation_info",
  ]

  private static func writeExtensions(_ tx: QUICTransaction, into json: inout JSONWriter) {
    guard let types = tx.clientHello?.extensions ?? tx.serverHello?.extensions, !types.isEmpty else { return }
    json.beginArray("extensions")
    for type in types {
      json.beginObject()
      if let name = names[type] { json.member("name", text: name) }
      json.member("type", type)
      let values = values(type, tx)
      if !values.isEmpty {
        json.beginArray("values")
        for value in values { json.string(value) }
        json.endArray()
      }
      json.endObject()
    }
    json.endArray()
  }

  private static func values(_ type: UInt16, _ tx: QUICTransaction) -> [[UInt8]] {
    switch type {
    case 0: return tx.clientHello?.serverName.map { [$0] } ?? []
    case 13: return (tx.clientHello?.signatureAlgorithms ?? []).map { Array(String($0).utf8) }
    case 16: return tx.clientHello?.alpn ?? tx.serverHello?.alpn ?? []
    case 43:
      let versions = tx.clientHello?.supportedVersions ?? tx.serverHello?.supportedVersion.map { [$0] } ?? []
      return versions.map { Array(versionName($0).utf8) }
    default: return []
    }
  }

  private static func versionName(_ number: UInt16) -> String {
    switch number {
    case 0x0300: "Ssl30"
    case 0x0301: "Tls10"
    case 0x0302: "Tls11"
    case 0x0303: "Tls12"
    case 0x0304: "Tls13"
    case 0x7f12...0x7f17: "Tls13Draft\(number & 0xff)"
    default: "TlsVersion(\(number) / 0x\(String(number, radix: 16)))"
    }
  }
}
