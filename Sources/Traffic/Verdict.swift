/// What is to happen with a packet or a stretch of decrypted stream. (What a rule asks for is an *action*.)
public enum Verdict: UInt8, Sendable, Hashable {
  case accept
  /// Silently dropped.
  case drop
  /// Dropped, and the ends are told (RST, ICMP unreachable, TLS alert).
  case reject
  /// Accepted, and the rest of the flow need not be seen.
  case release
  /// Handed to the interception stage.
  case divert
}
