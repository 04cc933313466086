import FuzzTargets
import Glibc

// libFuzzer's two entry points. Which target runs is said by the environment, because libFuzzer owns
// the arguments.
private let target: FuzzTarget = {
  let name = unsafe getenv("SLUICE_FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
  guard let target = FuzzTarget(rawValue: name) else {
    let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: " ")
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
  guard let directory = unsafe getenv("SLUICE_FUZZ_SEEDS") else { return 0 }
  for (name, bytes) in target.seeds {
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
