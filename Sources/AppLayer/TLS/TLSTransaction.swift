import Traffic

/// A TLS connection, as far as it can be read from outside. There is one for each connection.
public final class TLSTransaction: Transaction {
  /// The first hello of the client; one said again on the server's request is not kept.
  public internal(set) var clientHello: ClientHello? { didSet { changes &+= 1 } }
  /// The server's hello, or until it comes its request to say hello again.
  public internal(set) var serverHello: ServerHello? { didSet { changes &+= 1 } }
  public internal(set) var serverCertificates: CertificateChain? { didSet { changes &+= 1 } }
  public internal(set) var clientCertificates: CertificateChain? { didSet { changes &+= 1 } }
  /// An earlier session was taken up again: there was no certificate.
  public internal(set) var isResumed = false { didSet { changes &+= 1 } }
  /// The server wants a certificate of the client, as far as that is readable.
  public internal(set) var asksForClientCertificate = false
  /// The first alert that was readable, as level and description (RFC 8446 section 6).
  public internal(set) var alert: (direction: Direction, level: UInt8, description: UInt8)?

  /// Of what is above; with progress and events all that rules ask for.
  private var changes: UInt32 = 0
  private var seen: (toServer: State?, toClient: State?) = (nil, nil)

  private struct State: Equatable {
    var toServer: Int
    var toClient: Int
    var eventCount: Int
    var changes: UInt32
  }

  private var state: State {
    State(toServer: progress.toServer, toClient: progress.toClient, eventCount: events.count, changes: changes)
  }

  /// Ciphertext, which is most of a connection, brings none.
  override public func hasNews(_ direction: Direction) -> Bool {
    (direction == .toServer ? seen.toServer : seen.toClient) != state
  }

  override public func markInspected(_ direction: Direction) {
    if direction == .toServer { seen.toServer = state } else { seen.toClient = state }
  }

  /// Of a connection that is taken apart, whose own hello of the server nobody else saw.
  var agreedVersion: TLSVersion?

  init(start: Timestamp) {
    super.init(id: 0, appProtocol: .tls, progressComplete: TLSProgress.finished, start: start)
  }

  /// What is known of a connection that was taken apart.
  ///
  /// - Parameters:
  ///   - records: of the client, up to the end of its hello.
  ///   - certificates: DER of what the server showed, leaf first.
  public convenience init(
    opened records: [UInt8], version: UInt16, certificates: [[UInt8]], isResumed: Bool, start: Timestamp
  ) {
    self.init(start: start)
    clientHello = ClientHello(records: records)
    agreedVersion = TLSVersion(rawValue: version)
    self.isResumed = isResumed
    if !certificates.isEmpty {
      serverCertificates = CertificateChain(
        Array(certificates.prefix(CertificateChain.certificateCountMax)), count: certificates.count)
    }
  }

  /// The negotiated version; until the server has spoken, what the client's version field says; 0
  /// (undetermined) when nothing is known.
  public var version: TLSVersion {
    agreedVersion ?? serverHello?.version ?? clientHello?.legacyVersion ?? TLSVersion(rawValue: 0)
  }

  /// Both sides have come to the end of what is readable of the handshake.
  public var isHandshakeDone: Bool {
    progress.toServer >= TLSProgress.clientHandshakeDone
      && progress.toClient >= TLSProgress.serverHandshakeDone
  }

  // Made when they are first asked for; nobody may be told that there is none before the hello has come.
  private var prints = (ja3: Print(), ja3Hash: Print(), ja3s: Print(), ja3sHash: Print(), ja4: Print())

  /// Something that is made once of a hello.
  private struct Print {
    private var bytes: [UInt8]?

    mutating func made(_ make: () -> [UInt8]?) -> [UInt8]? {
      if bytes == nil { bytes = make() }
      return bytes
    }
  }

  public var ja3: [UInt8]? { prints.ja3.made { clientHello.map { TLSFingerprint.ja3($0) } } }
  public var ja3Hash: [UInt8]? {
    let text = ja3
    return prints.ja3Hash.made { text.map { Digest.md5.hex($0) } }
  }
  public var ja3s: [UInt8]? { prints.ja3s.made { serverHello.map { TLSFingerprint.ja3s($0) } } }
  public var ja3sHash: [UInt8]? {
    let text = ja3s
    return prints.ja3sHash.made { text.map { Digest.md5.hex($0) } }
  }
  public var ja4: [UInt8]? { prints.ja4.made { clientHello.map { TLSFingerprint.ja4($0) } } }

  public func certificates(_ direction: Direction) -> CertificateChain? {
    direction == .toServer ? clientCertificates : serverCertificates
  }

  public override func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    switch id {
    case .tlsCertificates:
      return element(index, of: certificates(direction)?.certificates)
    case .tlsSubjectAltName:
      return element(index, of: certificates(direction)?.leaf?.subjectAltNames)
    case .tlsALPN:
      return element(index, of: direction == .toServer ? clientHello?.alpn : serverHello?.alpn)
    default:
      guard index == 0, let bytes = single(id, direction) else { return nil }
      return BufferView(bytes)
    }
  }

  private func single(_ id: BufferID, _ direction: Direction) -> [UInt8]? {
    switch id {
    case .tlsCertificateSubject: certificates(direction)?.leaf?.subject
    case .tlsCertificateIssuer: certificates(direction)?.leaf?.issuer
    case .tlsCertificateSerial: certificates(direction)?.leaf?.serial
    case .tlsCertificateFingerprint: certificates(direction)?.fingerprint
    case .tlsRandom: random(direction)
    case .tlsRandomTime: random(direction).map { Array($0.prefix(4)) }
    case .tlsRandomBytes: random(direction).map { Array($0.dropFirst(4)) }
    case .tlsSNI: direction == .toServer ? clientHello?.serverName : nil
    case .ja3Hash: direction == .toServer ? ja3Hash : nil
    case .ja3String: direction == .toServer ? ja3 : nil
    case .ja3sHash: direction == .toClient ? ja3sHash : nil
    case .ja3sString: direction == .toClient ? ja3s : nil
    case .ja4Hash: direction == .toServer ? ja4 : nil
    default: nil
    }
  }

  /// The hello's random; not that of an SSLv2 hello, which has other lengths.
  private func random(_ direction: Direction) -> [UInt8]? {
    let bytes = direction == .toServer ? clientHello?.random : serverHello?.random
    return bytes?.count == 32 ? bytes : nil
  }

  private func element(_ index: Int, of list: [[UInt8]]?) -> BufferView? {
    guard let list, index >= 0, index < list.count else { return nil }
    return BufferView(list[index])
  }

  /// `tlsVersion` is what the side itself said: the client's version field, the negotiated version.
  public override func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard index == 0 else { return nil }
    switch id {
    case .tlsVersion:
      let said = direction == .toServer ? clientHello?.legacyVersion : serverHello?.version
      return said.map { UInt64($0.rawValue) }
    case .tlsCertificateChainLength:
      return certificates(direction).map { UInt64($0.count) }
    case .tlsNotBefore:
      return certificates(direction)?.leaf.map { UInt64(clamping: $0.notBefore) }
    case .tlsNotAfter:
      return certificates(direction)?.leaf.map { UInt64(clamping: $0.notAfter) }
    default: return nil
    }
  }

  func advance(_ direction: Direction, to value: Int) {
    if direction == .toServer {
      progress.toServer = max(progress.toServer, value)
    } else {
      progress.toClient = max(progress.toClient, value)
    }
  }
}
