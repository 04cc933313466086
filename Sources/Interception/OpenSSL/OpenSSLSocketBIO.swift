import CSluiceOpenSSL

/// The I/O method by which OpenSSL reads and writes a ``ByteStream``: no SIGPIPE, bytes read
/// ahead come first, no system call where the socket is known to be empty.
///
/// SAFETY: owned, never nil. A BIO made by it holds an unretained reference to its stream, which
/// ``TLSEndpoint`` keeps alive longer than the BIO.
@safe
final class SocketBIOMethod {
  private let pointer: OpaquePointer

  init?() {
    guard let made = unsafe BIO_meth_new(sluice_bio_type(), "sluice socket") else { return nil }
    unsafe pointer = made
    unsafe BIO_meth_set_create(made) { bio in
      unsafe BIO_set_init(bio, 1)
      return 1
    }
    unsafe BIO_meth_set_read(made) { bio, bytes, count in
      guard let bio = unsafe bio, let stream = unsafe SocketBIOMethod.stream(bio) else { return -1 }
      unsafe sluice_bio_clear_retry(bio)
      let got = unsafe stream.receive(UnsafeMutableRawBufferPointer(start: bytes, count: Int(count)))
      if got == -1 { unsafe sluice_bio_retry_read(bio) }
      return Int32(truncatingIfNeeded: got)
    }
    unsafe BIO_meth_set_write(made) { bio, bytes, count in
      guard let bio = unsafe bio, let stream = unsafe SocketBIOMethod.stream(bio) else { return -1 }
      unsafe sluice_bio_clear_retry(bio)
      let sent = unsafe stream.send(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
      if sent == -1 { unsafe sluice_bio_retry_write(bio) }
      return Int32(truncatingIfNeeded: sent)
    }
    unsafe BIO_meth_set_ctrl(made) { bio, command, _, _ in
      switch command {
      case BIO_CTRL_FLUSH: return 1
      case BIO_CTRL_EOF:
        guard let bio = unsafe bio, let stream = unsafe SocketBIOMethod.stream(bio) else { return 1 }
        return stream.sawEnd ? 1 : 0
      default: return 0
      }
    }
  }
  deinit { unsafe BIO_meth_free(pointer) }

  func bio(over stream: ByteStream) -> OpaquePointer? {
    guard let bio = unsafe BIO_new(pointer) else { return nil }
    unsafe BIO_set_data(bio, Unmanaged.passUnretained(stream).toOpaque())
    return unsafe bio
  }

  private static func stream(_ bio: OpaquePointer) -> ByteStream? {
    guard let data = unsafe BIO_get_data(bio) else { return nil }
    return unsafe Unmanaged<ByteStream>.fromOpaque(data).takeUnretainedValue()
  }
}
