import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Traffic

extension CertificateAuthority {
  /// Makes an authority and writes both files: the key 0600, the certificate 0644.
  ///
  /// Neither file is ever overwritten (O_EXCL, no symbolic links followed). When the certificate
  /// can't be written the key just written is removed again.
  /// - Parameter owner: the user whose the key is to be; nil for who calls this.
  public static func make(
    keyPath: String, certificatePath: String, commonName: String? = nil, owner: String? = nil, now: Timestamp
  ) throws(AuthorityError) -> CertificateAuthority {
    let authority = try generate(commonName: commonName ?? defaultCommonName(), now: now)
    guard let key = authority.key?.pem() else { throw .library(OpenSSLErrors.drain().text) }
    try write(key, to: keyPath, mode: 0o600, owner: owner)
    do {
      try write(authority.certificatePEM(), to: certificatePath, mode: 0o644)
    } catch {
      unsafe unlink(keyPath)
      throw error
    }
    return authority
  }

  /// Reads both files and checks that they belong together and that nobody else may read the key.
  public static func load(keyPath: String, certificatePath: String) throws(AuthorityError) -> CertificateAuthority {
    guard let key = PrivateKey.read(pem: try read(keyPath, secret: true)) else { throw .notAKey(path: keyPath) }
    return try load(key, named: keyPath, certificatePath)
  }

  /// Reads the certificate alone; another process signs.
  public static func load(certificatePath: String) throws(AuthorityError) -> CertificateAuthority {
    try load(nil, named: "", certificatePath)
  }

  /// Waits for the process that holds the key to say that it can sign.
  public static func awaitSigner(_ descriptor: Int32, milliseconds: Int32) throws(AuthorityError) {
    try SigningChannel.awaitReady(descriptor, milliseconds: milliseconds)
  }

  private static func load(
    _ key: PrivateKey?, named keyPath: String, _ certificatePath: String
  ) throws(AuthorityError) -> CertificateAuthority {
    guard let certificate = Certificate.read(pem: try read(certificatePath, secret: false)) else {
      throw .notACertificate(path: certificatePath)
    }
    if let key, !key.matches(certificate) { throw .keyDoesNotMatch(key: keyPath, certificate: certificatePath) }
    guard unsafe X509_check_ca(certificate.pointer) == 1, let identifier = identifier(of: certificate),
      let algorithm = certificate.signatureAlgorithm
    else { throw .notAnAuthority(path: certificatePath) }
    return CertificateAuthority(key: key, certificate: certificate, keyIdentifier: identifier, algorithm: algorithm)
  }

  private static func identifier(of certificate: Certificate) -> [UInt8]? {
    // SAFETY: the string belongs to the certificate and is copied at once.
    guard let held = unsafe X509_get0_subject_key_id(certificate.pointer),
      let bytes = unsafe ASN1_STRING_get0_data(held)
    else { return nil }
    return unsafe [UInt8](UnsafeBufferPointer(start: bytes, count: Int(ASN1_STRING_length(held))))
  }

  private static func write(
    _ bytes: [UInt8], to path: String, mode: mode_t, owner: String? = nil
  ) throws(AuthorityError) {
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
    guard file >= 0 else {
      throw errno == EEXIST ? .exists(path: path) : .unwritable(path: path, reason: errorText(errno))
    }
    defer { close(file) }
    // Not subject to the umask, which could leave the certificate unreadable.
    let complete =
      fchmod(file, mode) == 0 && writeAll(bytes, to: file)
      && (owner.map { unsafe sluice_give_file(file, $0) } ?? 0) == 0 && fsync(file) == 0
    if !complete {
      let reason = errno == ENOENT && owner != nil ? "there is no user \(owner ?? "")" : errorText(errno)
      unsafe unlink(path)
      throw .unwritable(path: path, reason: reason)
    }
  }

  static func writeAll(_ bytes: [UInt8], to file: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      // SAFETY: the buffer is valid for the call.
      let wrote = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
      if wrote < 0, errno == EINTR { continue }
      guard wrote > 0 else { return false }
      rest = rest.dropFirst(wrote)
    }
    return true
  }

  static func read(_ path: String, secret: Bool) throws(AuthorityError) -> [UInt8] {
    let file = try secret ? openSecret(path) : openFile(path)
    defer { close(file) }
    return try readAll(file, path: path)
  }

  private static func openFile(_ path: String) throws(AuthorityError) -> Int32 {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      throw errno == ENOENT ? .missing(path: path) : .unreadable(path: path, reason: errorText(errno))
    }
    return file
  }

  /// A file that nobody else may read; the caller closes the descriptor.
  static func openSecret(_ path: String) throws(AuthorityError) -> Int32 {
    let file = try openFile(path)
    var status = stat()
    guard unsafe fstat(file, &status) == 0 else {
      close(file)
      throw .unreadable(path: path, reason: errorText(errno))
    }
    let mode = UInt32(status.st_mode) & 0o7777
    if mode & 0o077 != 0 {
      close(file)
      throw .wrongMode(path: path, mode: mode)
    }
    return file
  }

  /// From the beginning, wherever the descriptor stands; at most 1 MiB, which no key or certificate reaches.
  static func readAll(_ file: Int32, path: String) throws(AuthorityError) -> [UInt8] {
    let countMax = 1 << 20
    // One buffer, so that no copies of a key are left behind in memory.
    var bytes = [UInt8](repeating: 0, count: 65_536)
    var count = 0
    while true {
      if count == bytes.count {
        guard count < countMax else { throw .unreadable(path: path, reason: "larger than 1 MiB") }
        bytes += [UInt8](repeating: 0, count: count)
      }
      // SAFETY: the kernel writes at most the room that is left.
      let got = unsafe bytes.withUnsafeMutableBytes { unsafe pread(file, $0.baseAddress.map { unsafe $0 + count }, $0.count - count, count) }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw .unreadable(path: path, reason: errorText(errno)) }
      if got == 0 { break }
      count += got
    }
    bytes.removeSubrange(count...)
    return bytes
  }
}

/// The kernel's words for an error number.
func errorText(_ code: Int32) -> String {
  // SAFETY: strerror returns a NUL-terminated string, copied at once.
  unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
}
