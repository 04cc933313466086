import Capture
import FlowTracking
import PacketDecoding
import Traffic

/// Reads a capture for several workers, and says whose each packet is.
struct ShareReader: ~Copyable {
  private var source: PcapFileSource
  private let decoder: PacketDecoder
  private let workers: Int
  private let usesPorts: Bool
  private(set) var span = CaptureSpan()
  private(set) var count: UInt64 = 0
  /// What stands in the way of reading it whole.
  private(set) var warnings: [String] = []

  init(_ source: consuming PcapFileSource, _ evaluation: Evaluation, workers: Int, usesPorts: Bool) {
    self.usesPorts = usesPorts
    self.source = source
    self.workers = workers
    // Addresses are all that is asked for.
    var settings = evaluation.settings.inspection.decoder
    settings.verifiesChecksums = false
    decoder = PacketDecoder(settings: settings)
  }

  /// - Throws: where nothing of the capture can be read.
  mutating func read(
    into ring: BlockRing, _ order: ShareOrder, _ progress: (UInt64, UInt64?) -> Void
  ) throws(CaptureError) {
    let (decoder, workers, usesPorts) = (decoder, workers, usesPorts)
    var block = ring.empty(from: 1)
    while !order.isOver {
      let more: Bool
      do throws(CaptureError) {
        more = try source.next { packet in
          let decoded = decoder.decode(packet.bytes, link: packet.linkType, time: packet.time)
          let owner = decoded.ipVersion == 0 ? 0 : FlowSpread.place(decoded, of: workers, usesPorts: usesPorts)
          block.add(
            packet.bytes, originalLength: packet.originalLength, time: packet.time, link: packet.linkType, owner: owner)
          span.note(packet.time)
        }
      } catch {
        guard count > 0 else { throw error }
        warnings.append(error.description)
        continue
      }
      guard more else { break }
      count &+= 1
      if count & 0xfff == 0 { progress(source.bytesRead, source.bytesTotal) }
      if block.isFull {
        ring.publish()
        block = ring.empty(from: count &+ 1)
      }
    }
    if !block.isEmpty { ring.publish() }
    warnings += source.warnings.map(\.description)
  }
}

/// From the first packet of a capture to the last.
struct CaptureSpan {
  private(set) var begin: Timestamp?
  private(set) var end = Timestamp(seconds: 0)

  mutating func note(_ time: Timestamp) {
    if begin == nil { begin = time }
    end = time
  }

  var seconds: UInt64 { UInt64(begin.map { max(0, end.seconds &- $0.seconds) } ?? 0) }
}
