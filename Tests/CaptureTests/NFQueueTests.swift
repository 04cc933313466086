import Capture
import CSluiceLinux
import TestSupport
import Testing
import Traffic

/// Real packets through the kernel's queue, each test in a network namespace of its own.
@Suite(
  .enabled(if: NetworkNamespace.isAvailable, "needs root (to make network namespaces), ip and iptables"))
struct NFQueueTests {
  private static let queueUDP = "iptables -t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 7"

  /// What a body inside the namespace saw; handed out because expectations belong to the test's task.
  private final class Observed {
    var received: [String] = []
    var packets: [[UInt8]] = []
    var marks: [UInt32] = []
    var errors: [String] = []
    var counters = NFQueue.Counters()
    var refusals: [String] = []
    var statistics: [QueueStatistics] = []
    var flags: [Bool] = []
    var counts: [Int] = []
  }

  private func observe(
    _ setup: String, _ body: @escaping (Observed) throws -> Void
  ) -> Observed {
    let observed = Observed()
    let status = NetworkNamespace.perform(setup) {
      do { try body(observed) } catch { observed.errors.append("\(error)") }
    }
    if status != 0 { observed.errors.append("setup failed with \(status)") }
    return observed
  }

  private static func udpPayload(_ packet: borrowing QueuedPacket) -> String {
    String(decoding: packet.bytes.copied().dropFirst(28), as: UTF8.self)
  }

  @Test func acceptedPacketsArriveAndDroppedOnesDoNot() {
    let observed = observe(Self.queueUDP) { observed in
      var queue = try NFQueue(number: 7)
      let (sender, receiver) = (LoopbackSocket(), LoopbackSocket())
      for text in ["one", "drop me", "two"] { sender.send(text, to: receiver.port) }
      while observed.packets.count < 3 {
        let count = try queue.receive(timeoutMilliseconds: 2000) { packet, verdicts in
          observed.packets.append(packet.bytes.copied())
          observed.flags = [packet.checksumNotReady, packet.isGSO, packet.hook == 3]
          observed.marks += [UInt32(packet.hardwareProtocol), packet.outputInterface]
          let isDropped = Self.udpPayload(packet) == "drop me"
          verdicts.add(packet.id, isDropped ? .drop : .accept)
        }
        if count == 0 { break }
      }
      observed.received = receiver.receiveAll()
      observed.counters = queue.counters
      observed.refusals = queue.refusals
    }
    #expect(observed.errors.isEmpty)
    #expect(observed.refusals.isEmpty)
    #expect(observed.received == ["one", "two"])
    #expect(observed.packets.count == 3)
    #expect(observed.packets.allSatisfy { $0.first == 0x45 })
    #expect(observed.flags == [true, false, true])  // loopback leaves checksums to "hardware"
    #expect(observed.marks.prefix(2) == [0x0800, 1])  // IPv4, and lo is interface 1
    #expect(observed.counters.packetCount == 3)
    #expect(observed.counters.sendErrorCount == 0)
    #expect(observed.counters.malformedCount == 0)
  }

  @Test func aReplacedPayloadIsWhatArrives() {
    let observed = observe(Self.queueUDP) { observed in
      var queue = try NFQueue(number: 7)
      let (sender, receiver) = (LoopbackSocket(), LoopbackSocket())
      sender.send("original", to: receiver.port)
      let loopback = ip("127.0.0.1")
      let datagram = UDPDatagram(
        from: sender.port, to: receiver.port, Array("replaced, and longer".utf8))
      let replacement = IPv4Packet(loopback, loopback, datagram).bytes
      _ = try queue.receive(timeoutMilliseconds: 2000) { packet, verdicts in
        observed.flags.append(
          verdicts.add(packet.id, .accept, replacement: replacement.rawSpan))
      }
      observed.received = receiver.receiveAll()
    }
    #expect(observed.errors.isEmpty)
    #expect(observed.flags == [true])
    #expect(observed.received == ["replaced, and longer"])
  }

  @Test func aRepeatedPacketComesBackWithItsMark() {
    let observed = observe(Self.queueUDP) { observed in
      var queue = try NFQueue(number: 7)
      let (sender, receiver) = (LoopbackSocket(), LoopbackSocket())
      sender.send("again", to: receiver.port)
      for _ in 0..<2 {
        _ = try queue.receive(timeoutMilliseconds: 2000) { packet, verdicts in
          observed.marks.append(packet.mark)
          if packet.mark == 0 {
            verdicts.add(packet.id, .repeat, mark: 0x1234_5678)
          } else {
            verdicts.add(packet.id, .accept)
          }
        }
      }
      observed.received = receiver.receiveAll()
    }
    #expect(observed.errors.isEmpty)
    #expect(observed.marks == [0, 0x1234_5678])
    #expect(observed.received == ["again"])
  }

  @Test func manyPacketsComeInBatchesAndVerdictsMayComeLater() {
    let observed = observe(Self.queueUDP) { observed in
      var queue = try NFQueue(number: 7)
      let (sender, receiver) = (LoopbackSocket(), LoopbackSocket())
      for index in 0..<100 { sender.send("\(index)", to: receiver.port) }
      var held: [UInt32] = []
      while held.count < 100 {
        let count = try queue.receive(timeoutMilliseconds: 2000) { packet, _ in
          held.append(packet.id)
        }
        observed.counts.append(count)
        if count == 0 { break }
      }
      observed.statistics = try QueueStatistics.all()
      observed.counts.append(receiver.receiveAll().count)
      for id in held { queue.verdict(packetID: id, .accept) }
      queue.flushVerdicts()
      observed.received = receiver.receiveAll()
      observed.counts.append(try queue.receive(timeoutMilliseconds: 0) { _, _ in })
      observed.counters = queue.counters
    }
    #expect(observed.errors.isEmpty)
    #expect(observed.counts == [32, 32, 32, 4, 0, 0])
    #expect(observed.received == (0..<100).map { "\($0)" })
    #expect(observed.counters.sendCount == 1)
    #expect(observed.statistics.map { $0.queueNumber } == [7])
    #expect(observed.statistics.first?.waitingCount == 100)
    #expect(observed.statistics.first?.copyMode == 2)
  }

  @Test func aBatchIsLentWhole() {
    let observed = observe(Self.queueUDP) { observed in
      var queue = try NFQueue(number: 7)
      let (sender, receiver) = (LoopbackSocket(), LoopbackSocket())
      for index in 0..<20 { sender.send("\(index)", to: receiver.port) }
      _ = try queue.receiveBatch(timeoutMilliseconds: 2000) { batch, verdicts in
        observed.counts.append(batch.count)
        // Backwards: the order of the verdicts is the order in which packets go on.
        for index in (0..<batch.count).reversed() {
          let packet = batch.packet(at: index)
          observed.packets.append(packet.bytes.copied())
          verdicts.add(packet.id, .accept)
        }
      }
      observed.received = receiver.receiveAll()
    }
    #expect(observed.errors.isEmpty)
    #expect(observed.counts == [20])
    #expect(observed.received == (0..<20).reversed().map { "\($0)" })
    #expect(observed.packets.map { String(decoding: $0.dropFirst(28), as: UTF8.self) } == observed.received)
  }

  @Test func iPv6PacketsAreQueuedToo() {
    let setup = "ip6tables -t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 7"
    let observed = observe(setup) { observed in
      var queue = try NFQueue(number: 7)
      run("bash -c 'echo hello >/dev/udp/::1/9'")
      _ = try queue.receive(timeoutMilliseconds: 5000) { packet, verdicts in
        observed.marks.append(UInt32(packet.hardwareProtocol))
        observed.packets.append(packet.bytes.copied())
        verdicts.add(packet.id, .accept)
      }
    }
    #expect(observed.errors.isEmpty)
    #expect(observed.marks == [0x86dd])
    #expect(observed.packets.first?.first == 0x60)
    #expect(observed.packets.first?.suffix(6) == Array("hello\n".utf8)[...])
  }

  @Test func aVerdictAboutAnUnknownPacketIsCounted() {
    let observed = observe(Self.queueUDP) { observed in
      var queue = try NFQueue(number: 7)
      queue.verdict(packetID: 999, .accept)
      queue.flushVerdicts()
      observed.counts.append(try queue.receive(timeoutMilliseconds: 100) { _, _ in })
      observed.counters = queue.counters
    }
    #expect(observed.errors.isEmpty)
    #expect(observed.counts == [0])
    #expect(observed.counters.refusedVerdictCount == 1)
  }

  @Test func aCopyLengthCutsAndTheOriginalLengthStays() {
    let observed = observe(Self.queueUDP) { observed in
      var options = NFQueueOptions()
      options.copyLength = 40
      var queue = try NFQueue(number: 7, options: options)
      let (sender, receiver) = (LoopbackSocket(), LoopbackSocket())
      sender.send(String(repeating: "x", count: 1000), to: receiver.port)
      _ = try queue.receive(timeoutMilliseconds: 2000) { packet, verdicts in
        observed.counts = [packet.bytes.byteCount, packet.originalLength]
        verdicts.add(packet.id, .accept)
      }
      observed.received = receiver.receiveAll()
      observed.counters = queue.counters
    }
    #expect(observed.errors.isEmpty)
    #expect(observed.counts == [40, 1028])
    #expect(observed.counters.cutPacketCount == 1)
    #expect(observed.received.first?.count == 1000)
  }

  @Test func withAFullQueuePacketsPassOnlyWhenItFailsOpen() {
    for failsOpen in [false, true] {
      let observed = observe(Self.queueUDP) { observed in
        var options = NFQueueOptions()
        options.packetCountMax = 2
        options.failsOpen = failsOpen
        let queue = try NFQueue(number: 7, options: options)
        let (sender, receiver) = (LoopbackSocket(), LoopbackSocket())
        for index in 0..<5 { sender.send("\(index)", to: receiver.port) }
        observed.received = receiver.receiveAll()
        observed.statistics = try QueueStatistics.all()
        observed.refusals = queue.refusals
      }
      #expect(observed.errors.isEmpty)
      #expect(observed.refusals.isEmpty)
      #expect(observed.received == (failsOpen ? ["2", "3", "4"] : []))
      #expect(observed.statistics.first?.queueDropCount == (failsOpen ? 0 : 3))
    }
  }

  @Test func aQueueInUseSaysSoAndIsFreeAgainAfterwards() {
    let observed = observe(Self.queueUDP) { observed in
      do {
        let first = try NFQueue(number: 3)
        do { _ = try NFQueue(number: 3) } catch { observed.errors.append("\(error)") }
        observed.counts.append(Int(first.number))
      }
      observed.counts.append(Int(try NFQueue(number: 3).number))
      observed.flags.append(NFQueue.isAvailable())
    }
    #expect(observed.errors.count == 1)
    #expect(observed.errors.first?.hasPrefix("queue 3: is in use by the process or netlink port ") == true)
    #expect(observed.counts == [3, 3])
    #expect(observed.flags == [true])
  }

  @Test func tcpWithSegmentationOffloadComesInLargePackets() throws {
    let setup = "iptables -t mangle -A OUTPUT -p tcp -j NFQUEUE --queue-num 7"
    let observed = observe(setup) { observed in
      var queue = try NFQueue(number: 7)
      // Both ends run outside this thread; it only gives verdicts until they are done.
      let python = """
        import socket, threading
        l = socket.create_server(('127.0.0.1', 5000))
        c = socket.create_connection(('127.0.0.1', 5000)); s, _ = l.accept()
        t = threading.Thread(target=lambda: (c.sendall(b'x' * 2000000), c.close())); t.start()
        n = 0
        while True:
          d = s.recv(1 << 20)
          if not d: break
          n += len(d)
        open('/dev/null', 'w'); raise SystemExit(0 if n == 2000000 else 1)
        """
      let done = TemporaryDirectory()
      let script = done.write(Array(python.utf8), as: "peers.py")
      run("(timeout 20 python3 \(script); echo $? >\(done.path)/status) >/dev/null 2>&1 &")
      var quietCount = 0
      while quietCount < 100, run("test -s \(done.path)/status") != 0 {
        let count = try queue.receive(timeoutMilliseconds: 100) { packet, verdicts in
          if packet.isGSO, packet.bytes.byteCount > 20_000 { observed.flags = [true] }
          verdicts.add(packet.id, .accept)
        }
        quietCount = count == 0 ? quietCount + 1 : 0
      }
      observed.counts.append(Int(run("test \"$(cat \(done.path)/status)\" = 0")))
      observed.counters = queue.counters
    }
    #expect(observed.errors.isEmpty)
    #expect(observed.counts == [0])
    #expect(observed.flags == [true])
    #expect(observed.counters.malformedCount == 0)
    #expect(observed.counters.overrunCount == 0)
  }
}
