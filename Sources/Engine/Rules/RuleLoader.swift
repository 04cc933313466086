import Detection
import Glibc
import PacketDecoding
import RuleLanguage

/// Rules that were read and compiled, and why others were not.
public struct LoadedRules: Sendable {
  public var ruleSet: RuleSet
  /// Refused rules and what else was found, in the order of the files.
  public var diagnostics: [RuleDiagnostic]
  /// Enabled rules read, refused ones among them.
  public var total: Int
  public var loaded: Int
  public var files: [String]
  /// What the configuration names and is not there.
  public var leftOut: [String]
}

/// Reads rule files and compiles them to a rule set.
public enum RuleLoader {
  /// - Parameters:
  ///   - paths: files, directories (their `*.rules`) or patterns with `*` and `?`; besides those of the
  ///     configuration.
  ///   - shared: names and cross-flow state that outlive the set.
  ///   - threadCount: threads to read and compile on; what comes of it is the same with any number.
  /// - Throws: where a file that is named does not exist or cannot be read.
  public static func load(
    _ settings: Settings, paths: [String] = [], shared: SharedDetectionState, threadCount: Int = RuleLoader.threadCount
  ) throws(SettingsError) -> LoadedRules {
    let loaded = try compile(settings, paths, shared, threadCount)
    // Here, where nothing is left of what compiling has taken.
    RulePublication.giveBackMemory()
    return loaded
  }

  private static func compile(
    _ settings: Settings, _ paths: [String], _ shared: SharedDetectionState, _ threadCount: Int
  ) throws(SettingsError) -> LoadedRules {
    var diagnostics: [RuleDiagnostic] = []
    let (paths, leftOut) = try find(settings, paths, &diagnostics)
    var compilerSettings = try compilerSettings(settings, paths, &diagnostics)
    compilerSettings.threadCount = threadCount
    let source = try RuleFileSource(paths)
    var compiler = RuleCompiler(settings: compilerSettings, shared: shared)
    try declareDatasets(settings, shared)
    let total = compiler.add { source.next() }
    if let failure = source.failure { throw failure }
    let result = compiler.finish()
    return LoadedRules(
      ruleSet: result.ruleSet, diagnostics: diagnostics + result.diagnostics, total: total,
      loaded: result.ruleSet.ruleCount, files: paths, leftOut: leftOut)
  }

  /// As many as the machine runs at once; more than these would wait for each other more than they work.
  public static var threadCount: Int { min(max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1), 8) }

  private static func declareDatasets(
    _ settings: Settings, _ shared: SharedDetectionState
  ) throws(SettingsError) {
    shared.names.datasets.setDirectory(settings.rules.dataDirectory)
    for description in settings.rules.datasets {
      do throws(RuleValueError) { try shared.names.datasets.declare(description) } catch {
        throw SettingsError("datasets.\(description.name): \(error.message)")
      }
    }
  }

  /// Rules as written, and what they are compiled with.
  struct ReadRules {
    var paths: [String]
    var leftOut: [String]
    var files: [RuleFileSyntax]
    var compilerSettings: RuleCompiler.Settings
    /// About companion files.
    var diagnostics: [RuleDiagnostic]
  }

  static func read(_ settings: Settings, _ paths: [String]) throws(SettingsError) -> ReadRules {
    var diagnostics: [RuleDiagnostic] = []
    let (paths, leftOut) = try find(settings, paths, &diagnostics)
    let compilerSettings = try compilerSettings(settings, paths, &diagnostics)
    var files: [RuleFileSyntax] = []
    for path in paths { files.append(RuleFile.parse(try readRules(path), fileName: path)) }
    return ReadRules(
      paths: paths, leftOut: leftOut, files: files, compilerSettings: compilerSettings, diagnostics: diagnostics)
  }

  private static func readRules(_ path: String) throws(SettingsError) -> [UInt8] {
    guard let bytes = TextFile.read(path) else {
      throw SettingsError("\(path): cannot be read: \(TextFile.lastError())")
    }
    return bytes
  }

  // MARK: Finding

  /// What the configuration names and is not there is warned of, as Suricata does: its default configuration
  /// names a file that is fetched later. What is named on the command line must be there.
  private static func find(
    _ settings: Settings, _ paths: [String], _ diagnostics: inout [RuleDiagnostic]
  ) throws(SettingsError) -> (files: [String], leftOut: [String]) {
    var files: [String] = []
    var leftOut: [String] = []
    for name in settings.rules.files {
      let path = name.hasPrefix("/") ? name : settings.rules.directory.map { $0 + "/" + name } ?? name
      var reason = "no file fits it"
      do throws(SettingsError) {
        let found = try expand(path)
        files += found
        if !found.isEmpty { continue }
      } catch { reason = TextFile.lastError() }
      leftOut.append(path)
      diagnostics.append(
        RuleDiagnostic(
          severity: .warning, location: RuleLocation(file: path, line: 0, column: 0),
          message: "rule-files names it, and it is left out: \(reason)"))
    }
    for path in paths { files += try expand(path) }
    return (files, leftOut)
  }

  private static func expand(_ path: String) throws(SettingsError) -> [String] {
    var status = stat()
    if unsafe stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else { return [path] }
      return matches(path + "/*.rules")
    }
    guard path.contains("*") || path.contains("?") else {
      throw SettingsError("\(path): \(TextFile.lastError())")
    }
    return matches(path)
  }

  private static func matches(_ pattern: String) -> [String] {
    // SAFETY: glob(3) fills the structure, `gl_pathc` says how many paths there are; freed before return.
    var found = unsafe glob_t()
    defer { unsafe globfree(&found) }
    guard unsafe glob(pattern, 0, nil, &found) == 0 else { return [] }
    var paths: [String] = []
    for index in unsafe 0..<Int(found.gl_pathc) {
      if let path = unsafe found.gl_pathv[index] { unsafe paths.append(String(cString: path)) }
    }
    return paths
  }

  // MARK: Companions

  private static func compilerSettings(
    _ settings: Settings, _ files: [String], _ diagnostics: inout [RuleDiagnostic]
  ) throws(SettingsError) -> RuleCompiler.Settings {
    var result = RuleCompiler.Settings()
    result.features.subtract(settings.rules.missingFeatures)
    result.variables = settings.variables
    result.actionOrder = settings.rules.actionOrder
    result.cacheDirectory = settings.rules.cacheDirectory
    result.scansPacketsWithStreams = settings.inspection.isInline && settings.inspection.reassembly.delivery == .inline
    if let file = settings.rules.classificationFile ?? beside(files, "classification.config") {
      if let bytes = TextFile.read(file) {
        let classification = ClassificationFile.parse(bytes, fileName: file)
        diagnostics += classification.diagnostics
        result.classification = classification
      } else {
        // Without it rules lose the names and priorities of their classes, nothing else.
        diagnostics.append(
          RuleDiagnostic(
            severity: .warning, location: RuleLocation(file: file, line: 0, column: 0),
            message: "the classification file cannot be read: \(TextFile.lastError())"))
      }
    }
    if let file = settings.rules.thresholdFile {
      let thresholds = ThresholdFile.parse(try read(file), fileName: file)
      diagnostics += thresholds.diagnostics
      result.thresholds = thresholds
    }
    if let file = settings.rules.reputationCategoriesFile {
      result.reputation = try reputation(settings, file, &diagnostics)
    }
    return result
  }

  private static func reputation(
    _ settings: Settings, _ categories: String, _ diagnostics: inout [RuleDiagnostic]
  ) throws(SettingsError) -> IPReputation {
    var lists: [(name: String, bytes: [UInt8])] = []
    for name in settings.rules.reputationFiles {
      let path = name.hasPrefix("/") ? name : settings.rules.reputationDirectory.map { $0 + "/" + name } ?? name
      lists.append((path, try read(path)))
    }
    let table = IPReputation(categories: (categories, try read(categories)), lists: lists)
    for fault in table.faults {
      diagnostics.append(
        RuleDiagnostic(severity: .warning, location: RuleLocation(file: categories, line: 0, column: 0), message: fault))
    }
    return table
  }

  private static func read(_ file: String) throws(SettingsError) -> [UInt8] {
    guard let bytes = TextFile.read(file) else {
      throw SettingsError("\(file): cannot be read: \(TextFile.lastError())")
    }
    return bytes
  }

  /// A companion file in the directory of the rules, or among those installed.
  private static func beside(_ files: [String], _ name: String) -> String? {
    let directories = files.map { file in
      file.lastIndex(of: "/").map { String(file[..<$0]) } ?? "."
    }
    return (directories + ["/etc/sluice/rules"]).map { $0 + "/" + name }.first { unsafe access($0, R_OK) == 0 }
  }
}
