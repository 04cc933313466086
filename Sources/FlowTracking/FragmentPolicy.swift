/// Whose bytes count where two IP fragments cover the same octets: what the receiving system does.
///
/// - Source: Novak, "Target-Based Fragmentation Reassembly"; Suricata `host-os-policy`.
public enum FragmentPolicy: UInt8, Sendable, Hashable, CaseIterable, BitwiseCopyable {
  case first, last, bsd, bsdRight, linux, windows, solaris

  /// - Parameter hostOS: a system as `host-os-policy` names it.
  public init?(hostOS: String) {
    switch hostOS.lowercased() {
    case "first", "macos", "hpux11", "old-solaris": self = .first
    case "last": self = .last
    case "bsd", "irix", "hpux10": self = .bsd
    case "bsd-right": self = .bsdRight
    case "linux", "old-linux": self = .linux
    case "windows", "windows2k3", "vista": self = .windows
    case "solaris": self = .solaris
    default: return nil
    }
  }

  /// Whether the bytes of a new fragment replace those of an old one that it overlaps.
  public func newWins(_ new: Range<Int>, over old: Range<Int>) -> Bool {
    let startsBefore = new.lowerBound < old.lowerBound
    switch self {
    case .first: return false
    case .last: return true
    case .bsd: return startsBefore
    case .bsdRight: return !startsBefore
    case .linux: return new.lowerBound <= old.lowerBound
    case .windows: return startsBefore && new.upperBound > old.upperBound
    case .solaris: return startsBefore && new.upperBound >= old.upperBound
    }
  }
}
