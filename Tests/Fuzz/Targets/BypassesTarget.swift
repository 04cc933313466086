import Interception
import Traffic

/// The file in which learned bypasses outlive a restart. What was read is written so that it reads the same; and whatever it
/// says, what is taken up stays within what could have been learned.
enum BypassesTarget {
  private static let entryCountMax = 8
  private static let clientEntryCountMax = 3

  static func run(_ bytes: [UInt8]) {
    let file = LearnedBypassFile(path: "", entryCountMax: entryCountMax)
    let contents = file.contents(of: bytes)
    let lines = bytes.split(separator: 10, omittingEmptySubsequences: false).count
    precondition(contents.entries.count <= 2 * entryCountMax + 1)
    precondition(contents.entries.count + contents.badLines <= lines && contents.firstBadLine <= lines)
    precondition((contents.badLines == 0) == (contents.firstBadLine == 0))
    // The heading takes a line.
    let written = Array(contents.entries.prefix(2 * entryCountMax))
    let again = file.contents(of: LearnedBypassFile.text(of: written))
    precondition(again.badLines == 0 && again.entries == written)
    takeUp(contents.entries)
  }

  private static func takeUp(_ entries: [BypassEntry]) {
    let now = Timestamp(seconds: 1_800_000_000)
    var settings = LearnedBypassSettings()
    settings.entryCountMax = entryCountMax
    settings.clientEntryCountMax = clientEntryCountMax
    let bypass = LearnedBypass(base: UniformPolicy(.inspect), settings: settings)
    let expired = bypass.restore(entries, at: now)
    let kept = bypass.kept
    precondition(expired + kept.count <= entries.count && kept.count <= 2 * entryCountMax)
    var counts: [IPAddress: Int] = [:]
    for entry in kept {
      precondition(entry.lastRefusal <= now)
      guard case .active(let until) = entry.state else { continue }
      precondition(now < until && until <= Timestamp(seconds: now.seconds + settings.bypassSeconds))
      counts[entry.key.client, default: 0] += 1
    }
    precondition(counts.values.allSatisfy { $0 <= clientEntryCountMax })
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let heading = "# learned bypasses of Sluice, version 1; `sluice policy learned` lists them\n"
    func line(_ state: String, _ until: Int, _ client: String, _ shape: String = "0a1b2c3d4e5f6071", _ server: String = "www.example.test") -> String {
      "\(state)\t\(until)\t1799990000\t3\t\(client)\t\(shape)\t\(server)\tclient refuses the certificate (unknown CA)\n"
    }
    let one = line("active", 1_800_040_000, "192.0.2.1")
    let texts = [
      ("one", heading + one), ("without-heading", one), ("six", heading + line("active", 1_800_040_000, "2001:db8::1")),
      ("awaits", heading + line("awaits-approval", 0, "192.0.2.1")),
      ("by-address", heading + line("active", 1_800_040_000, "192.0.2.1", "", "198.51.100.7 8443")),
      ("run-out", heading + line("active", 1_700_000_000, "192.0.2.1")), ("for-ever", heading + line("active", 4_000_000_000, "192.0.2.1")),
      ("later-than-now", heading + one.replacing("1799990000", with: "1800000001")),
      ("many-of-one", heading + (0..<6).map { line("active", 1_800_040_000, "192.0.2.1", "00", "s\($0).test") }.joined()),
      ("many", heading + (0..<20).map { line("active", 1_800_040_000, "192.0.2.\($0)") }.joined()),
      ("signs", heading + line("active", 1_800_040_000, "192.0.2.1", "+f-0")), ("cut-off", String((heading + one).dropLast(9))),
      ("controls", heading + one.replacing("www", with: "\u{1b}[2J")), ("blank-lines", heading + "\n\n" + one + "\n"),
      ("long", heading + line("active", 1_800_040_000, "192.0.2.1", "00", String(repeating: "a", count: 1_100))),
    ]
    return texts.map { (name: $0.0, bytes: Array($0.1.utf8)) }
  }
}
