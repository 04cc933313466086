/// One thing that was looked at.
public struct Finding: Sendable, Equatable {
  public enum Kind: Sendable { case good, noted, wrong }
  public var kind: Kind
  public var what: String
  /// A command, or words where none can do it.
  public var mend: String?

  public init(kind: Kind, what: String, mend: String? = nil) {
    self.kind = kind
    self.what = what
    self.mend = mend
  }

  public var isWrong: Bool { kind == .wrong }

  /// A line, and one more where something can be done.
  public var text: String {
    let word =
      switch kind {
      case .good: "ok     "
      case .noted: "note   "
      case .wrong: "WRONG  "
      }
    return word + what + "\n" + (mend.map { "       mend: \($0)\n" } ?? "")
  }
}
