import CSluiceOpenSSL

/// What a site shows its clients, read and found to fit.
struct SiteCertificate {
  /// Leaf first.
  var chain: [Certificate]
  var key: PrivateKey

  /// Host names of the leaf, in lower case; wildcards as `*.name`.
  var names: [String] {
    guard let leaf = chain.first else { return [] }
    return leaf.hostNames()
  }
}

extension Certificate {
  /// All certificates of a PEM file in order.
  static func readAll(pem: [UInt8]) -> [Certificate] {
    var found: [Certificate] = []
    _ = unsafe readBIO(pem) { bio in
      while let next = unsafe PEM_read_bio_X509(bio, nil, nil, nil) { found.append(unsafe Certificate(adopting: next)) }
      return nil
    }
    OpenSSLErrors.clear()
    return found
  }

  /// DNS names of the subjectAltName extension.
  /// - Source: RFC 5280 section 4.2.1.6: SEQUENCE OF GeneralName, dNSName is [2] IA5String.
  func hostNames() -> [String] {
    guard let value = extensionValue(NID_subject_alt_name) else { return [] }
    var reader = DERReader(value[...])
    guard var list = reader.next(tag: 0x30) else { return [] }
    var names: [String] = []
    while let (tag, content) = list.next() {
      if tag == 0x82 { names.append(String(decoding: content, as: UTF8.self).lowercased()) }
    }
    return names
  }
}

/// Tags and lengths of DER, one after the other.
struct DERReader {
  private var rest: ArraySlice<UInt8>
  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  /// nil at the end, and where a length does not fit.
  mutating func next() -> (tag: UInt8, content: ArraySlice<UInt8>)? {
    guard let tag = rest.popFirst(), let first = rest.popFirst() else { return nil }
    var length = Int(first)
    if first >= 0x80 {
      let count = Int(first & 0x7f)
      guard (1...3).contains(count), rest.count >= count else { return nil }
      length = rest.prefix(count).reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(count)
    }
    guard length <= rest.count else { return nil }
    defer { rest = rest.dropFirst(length) }
    return (tag, rest.prefix(length))
  }

  mutating func next(tag: UInt8) -> DERReader? {
    guard let found = next(), found.tag == tag else { return nil }
    return DERReader(found.content)
  }
}

extension TLSContext {
  /// Sessions of clients that know no tickets, for each site.
  private static let sessionCountMax = 10_000

  /// For clients of a site, with its own certificate.
  ///
  /// - Parameters:
  ///   - tickets: shared by all sites; `identity` keeps their sessions apart.
  ///   - identity: 32 octets that stand for the site and for what it asks of clients.
  static func site(
    _ certificate: SiteCertificate, clientAuthorities: String?, asks: TerminationSettings.Site.ClientCertificate,
    tickets: TicketKeys, identity: [UInt8], keyLog: KeyLog?
  ) throws(InterceptionError) -> TLSContext {
    let context = try clientLeg(tickets: tickets, keyLog: keyLog)
    let pointer = unsafe context.pointer
    guard let leaf = certificate.chain.first, unsafe SSL_CTX_use_certificate(pointer, leaf.pointer) == 1,
      unsafe SSL_CTX_use_PrivateKey(pointer, certificate.key.pointer) == 1
    else { throw .library(OpenSSLErrors.drain().text) }
    for issuer in certificate.chain.dropFirst() where unsafe sluice_ctx_add_chain(pointer, issuer.pointer) != 1 {
      throw .library(OpenSSLErrors.drain().text)
    }
    unsafe sluice_cache_server(pointer, sessionCountMax)
    guard unsafe SSL_CTX_set_session_id_context(pointer, identity, UInt32(min(32, identity.count))) == 1 else {
      throw .library(OpenSSLErrors.drain().text)
    }
    if asks != .none, let clientAuthorities {
      guard unsafe sluice_ctx_ask_client_certificate(pointer, clientAuthorities, asks == .required ? 1 : 0) == 1 else {
        throw .system(call: clientAuthorities, reason: OpenSSLErrors.drain().text)
      }
      if asks == .requested { unsafe sluice_ctx_pass_any_certificate(pointer) }
    }
    return context
  }

  /// For the leg towards a backend, whose certificate is verified within the handshake.
  static func backend(_ settings: BackendTLS, keyLog: KeyLog?) throws(InterceptionError) -> TLSContext {
    let context = try unsafe make(.client, TLS_client_method(), LegLimits(), keyLog)
    let pointer = unsafe context.pointer
    unsafe SSL_CTX_set_options(pointer, sluice_options_both())
    unsafe sluice_ctx_set_session_cache_mode(pointer, sluice_cache_client_external())
    unsafe SSL_CTX_sess_set_new_cb(pointer) { ssl, session in
      guard let ssl = unsafe ssl, let session = unsafe session, let endpoint = unsafe TLSEndpoint.owner(of: ssl)
      else { return 0 }
      return unsafe endpoint.keep(session) ? 1 : 0
    }
    unsafe sluice_ctx_verify_peer(pointer, settings.verifies ? 1 : 0)
    if settings.verifies {
      let path = settings.trustFile ?? TrustSettings().systemFile ?? ""
      guard unsafe SSL_CTX_load_verify_file(pointer, path) == 1 else {
        throw .system(call: path, reason: OpenSSLErrors.drain().text)
      }
    }
    return context
  }
}
