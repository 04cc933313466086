// swift-tools-version: 6.2
import PackageDescription

// One target per station, listed in the order traffic meets them. A target may
// import only what its `dependencies` name; the build rejects anything else
// (`--explicit-target-dependency-import-check error`).

// Fuzzers keep every check (docs/decisions/compiler-flags.md).
let releaseFlags =
  Context.environment["SLUICE_FUZZ"] == nil ? ["-cross-module-optimization", "-enforce-exclusivity=unchecked"] : []

let house: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableExperimentalFeature("Lifetimes"),
  .unsafeFlags(releaseFlags, .when(configuration: .release)),
]

/// A target of headers and static inline wrappers around a C library; no logic.
func clang(_ name: String, links: [String] = []) -> Target {
  .target(
    name: name, cSettings: [.define("_GNU_SOURCE")],
    linkerSettings: links.map { .linkedLibrary($0) })
}

func station(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: house)
}

/// The tests of a station; `TestSupport` builds packets and captures.
func tests(_ station: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: station + "Tests", dependencies: [.byName(name: station)] + dependencies,
    swiftSettings: house)
}

let package = Package(
  name: "sluice",
  products: [
    .executable(name: "sluice", targets: ["sluice"]),
    // For Benchmarks/Package.swift, which measures the stations one by one.
    .library(
      name: "SluiceStations",
      targets: [
        "Traffic", "Capture", "PacketDecoding", "FlowTracking", "StreamReassembly", "AppLayer", "RuleLanguage",
        "Detection", "Inspection", "EventOutput", "Engine",
      ]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    clang("CSluiceLinux"),
    clang("CSluiceOpenSSL", links: ["ssl", "crypto"]),
    clang("CSluiceVectorscan", links: ["hs"]),
    clang("CSluicePCRE2", links: ["pcre2-8"]),
    clang("CSluiceNGHTTP2", links: ["nghttp2"]),
    clang("CSluiceCompression", links: ["z", "zstd", "brotlidec"]),
    clang("CSluiceMagic", links: ["magic"]),

    station("Traffic", []),
    station("Capture", ["Traffic", "CSluiceLinux", "CSluiceCompression"]),
    station("PacketDecoding", ["Traffic"]),
    station("FlowTracking", ["Traffic", "PacketDecoding"]),
    station("StreamReassembly", ["Traffic", "PacketDecoding"]),
    station(
      "AppLayer",
      ["Traffic", "CSluiceOpenSSL", "CSluiceCompression", "CSluiceNGHTTP2", "CSluiceMagic"]),
    station("RuleLanguage", []),
    station(
      "Detection",
      [
        "Traffic", "PacketDecoding", "AppLayer", "RuleLanguage", "CSluiceVectorscan",
        "CSluicePCRE2", "CSluiceOpenSSL", "CSluiceCompression", "CSluiceLinux",
      ]),
    station(
      "Inspection",
      [
        "Traffic", "PacketDecoding", "FlowTracking", "StreamReassembly", "AppLayer",
        "Detection",
      ]),
    station("Interception", ["Traffic", "CSluiceLinux", "CSluiceOpenSSL"]),
    station("Diversion", ["Traffic", "CSluiceLinux"]),
    station("EventOutput", ["Traffic", "PacketDecoding", "AppLayer", "Detection", "Inspection"]),
    station(
      "Engine",
      [
        "Traffic", "Capture", "PacketDecoding", "FlowTracking", "StreamReassembly", "AppLayer",
        "RuleLanguage", "Detection", "Inspection", "Interception", "Diversion", "EventOutput",
        "CSluiceLinux", "Yams",
      ]),
    station("Control", ["Traffic", "AppLayer", "Detection", "Inspection", "Interception", "EventOutput", "Engine", "CSluiceLinux"]),
    .executableTarget(
      name: "sluice",
      dependencies: [
        "Engine", "Control", "Capture", "Detection", "EventOutput", "RuleLanguage", "Diversion", "Interception", "CSluiceLinux",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: house),

    .target(name: "TestSupport", dependencies: ["Traffic"], path: "Tests/TestSupport", swiftSettings: house),
    tests("Traffic", ["TestSupport"]),
    tests("Capture", ["Traffic", "TestSupport", "CSluiceLinux"]),
    tests("PacketDecoding", ["Traffic", "TestSupport"]),
    tests("FlowTracking", ["Traffic", "PacketDecoding", "TestSupport"]),
    tests("StreamReassembly", ["Traffic", "PacketDecoding", "TestSupport"]),
    tests("AppLayer", ["Traffic", "TestSupport"]),
    tests("RuleLanguage", []),
    tests("Detection", ["Traffic", "PacketDecoding", "AppLayer", "RuleLanguage", "TestSupport"]),
    tests("Inspection", ["Traffic", "PacketDecoding", "AppLayer", "RuleLanguage", "Detection", "TestSupport"]),
    tests("Interception", ["Traffic", "CSluiceLinux", "CSluiceOpenSSL"]),
    tests("Diversion", ["Traffic", "CSluiceLinux"]),
    tests("EventOutput", ["Traffic", "PacketDecoding", "AppLayer", "RuleLanguage", "Detection", "Inspection", "TestSupport"]),
    tests(
      "Engine",
      [
        "Traffic", "PacketDecoding", "FlowTracking", "AppLayer", "RuleLanguage", "Detection", "Inspection",
        "Interception", "Diversion", "EventOutput", "TestSupport",
      ]),
    tests("Control", ["Detection", "Engine", "Interception", "CSluiceLinux"]),

    // What fuzzers call, and its corpus replayed; the fuzzer itself is built by Tests/Fuzz/run.
    .target(
      name: "FuzzTargets",
      dependencies: ["Traffic", "Capture", "PacketDecoding", "AppLayer", "Interception", "TestSupport", "CSluiceOpenSSL"],
      path: "Tests/Fuzz/Targets", swiftSettings: house),
    .target(
      name: "FuzzEngineTargets",
      dependencies: [
        "FuzzTargets", "Traffic", "PacketDecoding", "RuleLanguage", "Detection", "Inspection", "Engine", "Control",
        "EventOutput", "TestSupport",
      ],
      path: "Tests/Fuzz/EngineTargets", swiftSettings: house),
    .testTarget(
      name: "FuzzTests", dependencies: ["FuzzEngineTargets", "FuzzTargets", "TestSupport"], path: "Tests/Fuzz/Replay",
      swiftSettings: house),
  ],
  cLanguageStandard: .gnu11
)

// The fuzzer: needs the sanitizers that Tests/Fuzz/run asks for, so it's no part of other builds. "parsers" leaves out
// the rules and all that stands on them, which take most of its build.
if let part = Context.environment["SLUICE_FUZZ"] {
  let isPart = part == "parsers"
  package.targets.append(
    .executableTarget(
      name: "Fuzz", dependencies: isPart ? ["FuzzTargets"] : ["FuzzTargets", "FuzzEngineTargets"],
      path: "Tests/Fuzz/Driver", swiftSettings: house + (isPart ? [.define("FUZZ_PARSERS")] : [])))
  package.products = [.executable(name: "Fuzz", targets: ["Fuzz"])]
}

// While one station is being worked on: build and test it and what it stands on alone.
if let only = Context.environment["SLUICE_ONLY"] {
  let chosen = Set(only.split(separator: ",").map(String.init))
  package.targets.removeAll { !chosen.contains($0.name) && !$0.name.hasPrefix("CSluice") }
  if !chosen.contains("sluice") { package.products = [] }
}
