import Traffic

/// A line as it comes in pieces.
struct SMTPLine {
  private(set) var text: [UInt8] = []
  /// The octets that ended it: LF or CR LF; empty for a piece of a line that is too long to hold.
  private(set) var end: [UInt8] = []
  /// A line, or a piece, is there to be taken.
  private(set) var isWhole = false
  /// It begins where a line begins.
  private(set) var isStart = true
  /// Something of it is left out.
  private(set) var isCut = false

  /// - Parameters:
  ///   - limit: octets that are held.
  ///   - cutsLong: what is longer comes in pieces; otherwise the rest is left out.
  /// - Returns: where what was not taken begins.
  mutating func take(_ bytes: RawSpan, _ at: Int, limit: Int, cutsLong: Bool = false) -> Int {
    let room = max(0, limit - text.count)
    let lineEnd = HTTPScan.lineEnd(bytes, at)
    let stop = lineEnd ?? bytes.byteCount
    if stop - at > room {
      text.append(bytes.extracting(at..<at + room))
      if cutsLong {
        isWhole = true
        return at + room
      }
      isCut = true
    } else {
      text.append(bytes.extracting(at..<stop))
    }
    guard lineEnd != nil else { return stop }
    isWhole = true
    if text.last == HTTPText.lf {
      text.removeLast()
      end = [HTTPText.lf]
      if text.last == HTTPText.cr {
        text.removeLast()
        end = [HTTPText.cr, HTTPText.lf]
      }
    } else {
      // The end was left out with the rest.
      end = [HTTPText.lf]
    }
    return stop
  }

  /// Makes room for what follows.
  mutating func next() {
    isStart = !end.isEmpty
    text.removeAll(keepingCapacity: true)
    end = []
    isWhole = false
    isCut = false
  }
}
