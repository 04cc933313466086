import Glibc

/// What a leg is read from and written to, below its TLS: a socket, or a layer of TLS around it.
///
/// SAFETY: pointers are handed on together with the length of their memory.
class ByteStream {
  /// Bytes to be read before those below: what the peek at a hello took.
  fileprivate var ahead: [UInt8] = []
  fileprivate var aheadOffset = 0

  func readAhead(_ bytes: [UInt8]) {
    ahead = bytes
    aheadOffset = 0
  }

  final var hasReadAhead: Bool { aheadOffset < ahead.count }

  final func receive(_ memory: UnsafeMutableRawBufferPointer) -> Int {
    if aheadOffset < ahead.count { return unsafe receiveAhead(memory) }
    return unsafe receiveBelow(memory)
  }

  /// - Returns: octets read; 0 at the end, -1 where it would block, -2 on an error.
  func receiveBelow(_ memory: UnsafeMutableRawBufferPointer) -> Int { 0 }
  /// - Returns: octets taken, -1 where it would block, -2 on an error.
  func send(_ memory: UnsafeRawBufferPointer) -> Int { -2 }
  /// The peer's direction has ended.
  var sawEnd: Bool { true }
  /// Of the last failed call, other than EAGAIN; 0 for none.
  var errorNumber: Int32 { 0 }
  var isReset: Bool { false }

  private func receiveAhead(_ memory: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(memory.count, ahead.count - aheadOffset)
    unsafe memory.copyBytes(from: ahead[aheadOffset..<aheadOffset + count])
    aheadOffset += count
    if aheadOffset == ahead.count { readAhead([]) }
    return count
  }
}

/// What is inside one layer of TLS, for the next one.
final class LayerStream: ByteStream {
  private let lower: TLSEndpoint
  private var hasEnded = false
  private var code: Int32 = 0

  init(_ lower: TLSEndpoint) { self.lower = lower }

  override func receiveBelow(_ memory: UnsafeMutableRawBufferPointer) -> Int {
    if hasEnded { return 0 }
    return switch unsafe lower.read(memory) {
    case .moved(let count): count
    case .wouldBlock: -1
    case .ended: end()
    case .reset, .failed: fail()
    }
  }

  override func send(_ memory: UnsafeRawBufferPointer) -> Int {
    switch unsafe lower.write(memory) {
    case .moved(let count): count
    case .wouldBlock: -1
    case .ended, .reset, .failed: fail()
    }
  }

  override var sawEnd: Bool { hasEnded }
  override var errorNumber: Int32 { code }
  override var isReset: Bool { code != 0 }

  private func end() -> Int {
    hasEnded = true
    return 0
  }

  private func fail() -> Int {
    code = ECONNRESET
    return -2
  }
}
