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
