import Traffic

/// How far one direction of an HTTP exchange has been read: the part that is being read now.
///
/// The line is there from `headers` on, the head from `body` on. Parts that a message does not
/// have are skipped, so callers compare with `>=`.
public enum HTTPProgress {
  public static let notStarted = 0
  public static let line = 1
  public static let headers = 2
  public static let body = 3
  public static let trailer = 4
  public static let complete = 5
}

extension HTTPProgress {
  private static let parts = ["started", "line", "headers", "body", "trailer", "complete"]

  /// The name that rule hooks and EVE have for a progress.
  public static func name(_ progress: Int, _ direction: Direction) -> String? {
    guard parts.indices.contains(progress) else { return nil }
    return (direction == .toServer ? "request_" : "response_") + parts[progress]
  }
}
