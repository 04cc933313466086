import CSluiceMagic

// SAFETY: the cookie is made once, owned by this object alone and used by one thread; the text that a
// call returns is copied before the next call.

/// Tells what a file is by its beginning (libmagic, with the machine's own database).
///
/// The database is read at the first question: about 60 ms, and some megabytes shared with the page cache.
@safe final class FileTypes {
  private let cookie: magic_t?

  init() {
    let made = unsafe magic_open(sluice_magic_flags())
    if let made = unsafe made, unsafe magic_load(made, nil) != 0 {
      unsafe magic_close(made)
      unsafe cookie = nil
    } else {
      unsafe cookie = made
    }
  }

  deinit { if let cookie = unsafe cookie { unsafe magic_close(cookie) } }

  /// - Returns: nil where there is no database or it has no answer.
  func describe(_ head: [UInt8]) -> [UInt8]? {
    guard let cookie = unsafe cookie, let text = unsafe magic_buffer(cookie, head, head.count) else {
      return nil
    }
    var result: [UInt8] = []
    var at = 0
    while unsafe text[at] != 0 {
      result.append(UInt8(bitPattern: unsafe text[at]))
      at += 1
    }
    return result
  }
}
