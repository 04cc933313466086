// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that neither the build nor the gate of Sluice knows of it. The flags are those of the
// stations' release build: what is measured here is inlined as it is there.
let package = Package(
  name: "benchmarks",
  dependencies: [.package(name: "sluice", path: "..")],
  targets: [
    .executableTarget(
      name: "stages",
      dependencies: [.product(name: "SluiceStations", package: "sluice")],
      swiftSettings: [
        .swiftLanguageMode(.v6),
        .strictMemorySafety(),
        .treatAllWarnings(as: .error),
        .enableExperimentalFeature("Lifetimes"),
        .unsafeFlags(
          ["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
      ])
  ],
  cLanguageStandard: .gnu11
)
