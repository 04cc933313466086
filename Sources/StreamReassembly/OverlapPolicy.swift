/// Whose bytes count where two segments cover the same octets: what the receiving system does.
///
/// Of the systems that keep the old data in general, most let a new segment win where it starts
/// before the old one; some let one win that reaches as far or further.
/// - Source: Suricata `host-os-policy`; Novak and Sturges, "Target-Based TCP Stream Reassembly".
///   `bsd-right` has no rule for TCP in Suricata (old data stands there); here it mirrors `bsd`,
///   as it does for IP fragments.
public enum OverlapPolicy: UInt8, Sendable, Hashable, CaseIterable, BitwiseCopyable {
  case first, last, bsd, bsdRight, linux, oldLinux, solaris, oldSolaris, hpux10, hpux11, irix
  case macos, windows, windows2k3, vista

  /// The policy as `host-os-policy` writes it.
  public var settingName: String {
    switch self {
    case .first: "first"
    case .last: "last"
    case .bsd: "bsd"
    case .bsdRight: "bsd-right"
    case .linux: "linux"
    case .oldLinux: "old-linux"
    case .solaris: "solaris"
    case .oldSolaris: "old-solaris"
    case .hpux10: "hpux10"
    case .hpux11: "hpux11"
    case .irix: "irix"
    case .macos: "macos"
    case .windows: "windows"
    case .windows2k3: "windows2k3"
    case .vista: "vista"
    }
  }

  public init?(settingName: String) {
    let wanted = settingName.lowercased()
    guard let policy = Self.allCases.first(where: { $0.settingName == wanted }) else { return nil }
    self = policy
  }

  /// Whether the bytes of a new segment replace those of an old one that it overlaps.
  ///
  /// Both are ranges of stream positions as sent, before any trimming.
  public func newWins(_ new: Range<Int64>, over old: Range<Int64>) -> Bool {
    let startsBefore = new.lowerBound < old.lowerBound
    let startsAlike = new.lowerBound == old.lowerBound
    let endsBeyond = new.upperBound > old.upperBound
    switch self {
    case .first, .vista, .oldSolaris:
      return false
    case .last:
      return true
    case .bsd, .hpux10, .irix, .macos, .windows, .windows2k3:
      return startsBefore
    case .bsdRight:
      return !startsBefore
    case .linux:
      return startsBefore || (startsAlike && endsBeyond)
    case .oldLinux:
      return startsBefore || (startsAlike && new.upperBound >= old.upperBound)
    case .solaris, .hpux11:
      return startsBefore || startsAlike ? new.upperBound >= old.upperBound : endsBeyond
    }
  }
}
