import CSluiceOpenSSL

/// The memory that connections read and write by.
public enum OpenSSLMemory {
  /// Has each thread keep a few buffers for its next records, since the library takes and gives back two for each message.
  /// Call it before anything else of TLS.
  /// - Returns: false where the library has been used before, which costs speed and nothing else.
  @discardableResult
  public static func keepBuffers() -> Bool { sluice_keep_buffers() == 1 }
}
