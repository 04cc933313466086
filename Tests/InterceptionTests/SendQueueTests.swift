import CSluiceLinux
import Glibc
import Testing

@testable import Interception

@Suite struct SendQueueTests {
  /// Two ends of a connection, the first as the worker has it.
  private func pair(room: Int32 = 0) throws -> (SocketStream, Peer) {
    var ends: [Int32] = [0, 0]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    if room > 0 {
      var room = room
      unsafe setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<Int32>.size))
    }
    return (SocketStream(descriptor: ends[0]), Peer(descriptor: ends[1]))
  }

  private func send(_ stream: SocketStream, _ bytes: [UInt8]) -> Int { unsafe bytes.withUnsafeBytes { unsafe stream.send($0) } }

  private func isSilent(_ peer: Peer) -> Bool {
    var one: UInt8 = 0
    return unsafe recv(peer.descriptor, &one, 1, Int32(MSG_DONTWAIT | MSG_PEEK)) == -1
  }

  @Test func `Small pieces wait for the end of the round, and go in their order`() throws {
    let queue = SendQueue()
    let (one, first) = try pair()
    let (two, second) = try pair()
    one.waits(in: queue)
    two.waits(in: queue)
    for octet: UInt8 in 0..<6 { #expect(send(octet < 3 ? one : two, [octet]) == 1) }
    #expect(send(one, [6]) == 1)
    #expect(isSilent(first) && isSilent(second))
    queue.flush()
    #expect(first.read(exactly: 4) == [0, 1, 2, 6])
    #expect(second.read(exactly: 3) == [3, 4, 5])
  }

  @Test func `A large piece goes at once, behind what waited, and so does what comes when the queue is full`() throws {
    let queue = SendQueue()
    let (stream, peer) = try pair()
    stream.waits(in: queue)
    let large = pattern(SendQueue.pieceBytesMax + 1)
    #expect(send(stream, [1]) == 1)
    #expect(send(stream, large) == large.count)
    #expect(peer.read(exactly: 1 + large.count) == [1] + large)
    let piece = pattern(SendQueue.pieceBytesMax)
    for _ in 0...SendQueue.countMax { #expect(send(stream, piece) == piece.count) }
    #expect(!isSilent(peer))
    queue.flush()
    let all = try #require(peer.read(exactly: piece.count * (SendQueue.countMax + 1)))
    #expect(all == Array((0...SendQueue.countMax).map { _ in piece }.joined()))
  }

  @Test func `What the kernel does not take waits, more is not taken meanwhile, and nothing is lost`() throws {
    let queue = SendQueue()
    let (stream, peer) = try pair(room: 4_608)
    stream.waits(in: queue)
    var sent: [UInt8] = []
    for round in 0..<100 {
      let piece = pattern(3_000, seed: UInt32(round))
      guard send(stream, piece) == piece.count else { break }
      sent += piece
      queue.flush()
    }
    #expect(!stream.isSettled)
    #expect(send(stream, [1]) == -1)
    #expect(!stream.sendsAtOnce())
    var got: [UInt8] = []
    while !stream.isSettled {
      got += try #require(peer.read())
      stream.wake(hangUp: false)
    }
    #expect(send(stream, [9]) == 1)
    #expect(stream.sendsAtOnce())
    stream.shutDown()
    got += try #require(peer.readToEnd())
    #expect(got == sent + [9])
  }

  @Test func `What waits goes before an end, and a broken connection is known by its read`() throws {
    let queue = SendQueue()
    let (stream, peer) = try pair()
    stream.waits(in: queue)
    #expect(send(stream, [1, 2]) == 2)
    stream.close()
    #expect(peer.readToEnd() == [1, 2])
    let (other, gone) = try pair()
    other.waits(in: queue)
    #expect(send(other, [1]) == 1)
    gone.close()
    queue.flush()
    var buffer = [UInt8](repeating: 0, count: 8)
    #expect(unsafe buffer.withUnsafeMutableBytes { unsafe other.receive($0) } == -2)
    #expect(other.isReset)
    #expect(send(other, [1]) == -2)
  }
}
