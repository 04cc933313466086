import FuzzTargets
import Glibc

#if !FUZZ_PARSERS
  import FuzzEngineTargets
#endif

// libFuzzer's two entry points. Which target runs is said by the environment, because libFuzzer owns
// the arguments.

#if FUZZ_PARSERS
  private let targets = FuzzTarget.parsers
#else
  private let targets = FuzzTarget.all
#endif

private let target: FuzzTarget = {
  let name = unsafe getenv("SLUICE_FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
  guard let target = targets.first(where: { $0.name == name }) else {
    let names = targets.map(\.name).joined(separator: " ")
    print("SLUICE_FUZZ_TARGET must be one of: \(names)")
    exit(3)
  }
  return target
}()

/// Writes the seeds of the target where SLUICE_FUZZ_SEEDS says, and ends.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
  _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>
) -> CInt {
  // Looked up here, since an end of the program later on counts as a find.
  let seeds = target.seeds
  guard let directory = unsafe getenv("SLUICE_FUZZ_SEEDS") else { return 0 }
  for (name, bytes) in seeds {
    let path = unsafe String(cString: directory) + "/" + name
    guard let file = unsafe fopen(path, "w") else {
      print("\(path) can't be written")
      exit(3)
    }
    _ = unsafe bytes.withUnsafeBytes { unsafe fwrite($0.baseAddress, 1, $0.count, file) }
    unsafe fclose(file)
  }
  exit(0)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer gives `count` octets, which stay for the call.
  target.run(unsafe Array(UnsafeBufferPointer(start: bytes, count: count)))
  return 0
}
