/// The literal by which a rule is found in a buffer before its steps are tried.
struct FastPattern: Hashable, Sendable {
  var bytes: [UInt8]
  var isCaseInsensitive: Bool
  var constraint = HitConstraint()
}

/// Where in the buffer a hit must end to count; lets positions prune hits before rules are looked up.
struct HitConstraint: Hashable, Sendable, BitwiseCopyable {
  /// Octets from the start of the whole buffer to the end of the hit, at least and at most.
  var endMin: UInt32 = 0
  var endMax: UInt32 = .max
  /// The hit must end where the buffer does.
  var isAtEnd = false
  /// Which of the buffers that share a table the literal belongs to.
  var member: UInt8 = 0
}
