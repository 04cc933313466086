import Glibc

/// A part of the path with its input at hand.
///
/// What is measured of it stands in a function of its own that is never inlined and of the name `measured`:
/// it is what stages.py has valgrind count. Arrays are taken out of the stage before they are borrowed: what is borrowed of
/// an object lasts for one access only.
protocol Stage: AnyObject {
  /// What a row of the table begins with, and what `--stage` takes.
  var name: String { get }
  /// What costs are told of.
  var unit: String { get }
  /// How many of these a round has.
  var unitCount: Int { get }
  /// Octets that it is handed in a round.
  var octetCount: Int { get }
  /// What of a round is no part of the stage but cannot be left out of its time; 0 where there is nothing.
  var overheadNanoseconds: UInt64 { get }

  /// Takes the whole input through the stage.
  ///
  /// - Parameter number: from 0; each round plays later than the one before.
  /// - Throws: where the stage did not see what it should have seen.
  func round(_ number: Int64) throws(StageError)
}

extension Stage {
  var overheadNanoseconds: UInt64 { 0 }

  /// CPU time of the fastest of `count` rounds after one that warms up: other programs on the machine make rounds
  /// slower, none makes them faster.
  func nanoseconds(rounds count: Int) throws(StageError) -> UInt64 {
    try round(0)
    var fastest = UInt64.max
    for number in 0..<count {
      let start = ProcessClock.nanoseconds
      try round(Int64(number) + 1)
      fastest = min(fastest, ProcessClock.nanoseconds &- start)
    }
    return fastest - min(fastest, overheadNanoseconds)
  }

  func expect<Value: Equatable>(_ what: String, _ seen: Value, _ wanted: Value) throws(StageError) {
    if seen != wanted { throw StageError("\(name): \(seen) \(what), \(wanted) expected") }
  }
}

/// CPU time of this process.
enum ProcessClock {
  static var nanoseconds: UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }
}
