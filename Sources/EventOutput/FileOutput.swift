import Traffic

/// Where the content of files goes that rules or settings ask to be stored.
public protocol FileOutput: AnyObject {
  /// A number that no other file of this run has (EVE `file_id`), from 1.
  func nextNumber() -> UInt64
  /// Adds to the content of a file.
  ///
  /// - Returns: false where it is lost: the file is given up.
  func append(_ bytes: RawSpan, to number: UInt64) -> Bool
  /// The file is whole; `name` is its SHA-256 in hex.
  func finish(_ number: UInt64, as name: [UInt8]) -> Bool
  /// Writes what is known of a file beside it.
  func describe(_ name: [UInt8], _ suffix: [UInt8], record: RawSpan)
}
