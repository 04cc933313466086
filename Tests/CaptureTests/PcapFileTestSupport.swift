import Capture
import Glibc
import TestSupport
import Traffic

/// A packet copied out of a source.
struct ReadPacket: Equatable {
  var bytes: [UInt8]
  var linkType: LinkType
  var time: Timestamp
  var originalLength: Int
  var number: UInt64
}

/// Everything a source yields, and the error that ended it.
struct ReadResult {
  var packets: [ReadPacket] = []
  var warnings: [CaptureWarning] = []
  var error: CaptureError?

  var built: [BuiltPacket] { packets.map { BuiltPacket(time: $0.time, bytes: $0.bytes) } }
}

func readAll(_ source: consuming PcapFileSource) -> ReadResult {
  var result = ReadResult()
  var packets: [ReadPacket] = []
  do throws(CaptureError) {
    while try source.next({ packet in
      packets.append(
        ReadPacket(
          bytes: packet.bytes.copied(), linkType: packet.linkType, time: packet.time,
          originalLength: packet.originalLength, number: packet.number))
    }) {}
  } catch {
    result.error = error
  }
  result.packets = packets
  result.warnings = source.warnings
  return result
}

func readAll(_ bytes: [UInt8]) -> ReadResult {
  readAll(PcapFileSource(bytes: bytes, name: "test.pcap"))
}

/// A directory that goes away with its contents.
final class TemporaryDirectory {
  let path: String

  init() {
    var template = Array("/tmp/sluice-capture-XXXXXX".utf8CString)
    path = unsafe template.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress, let made = unsafe mkdtemp(base) else {
        preconditionFailure("no temporary directory")
      }
      return unsafe String(cString: made)
    }
  }

  deinit { run("rm -rf '\(path)'") }

  @discardableResult
  func write(_ bytes: [UInt8], as name: String) -> String {
    let file = "\(path)/\(name)"
    run("mkdir -p \"$(dirname '\(file)')\"")
    let descriptor = unsafe open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    defer { close(descriptor) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { preconditionFailure("\(file) can't be written") }
      rest = rest.dropFirst(count)
    }
    return file
  }
}

/// Runs a shell command.
/// - Returns: its exit status.
@discardableResult
func run(_ command: String) -> Int32 { unsafe system(command) }

/// Six packets of a small conversation.
func samplePackets() -> [BuiltPacket] {
  var conversation = TCPConversation()
  conversation.handshake()
  conversation.send(.toServer, "GET / HTTP/1.1\r\n\r\n")
  conversation.rst()
  return conversation.packets
}
