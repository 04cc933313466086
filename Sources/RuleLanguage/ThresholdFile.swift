/// Lines that limit or suppress alerts without touching the rules.
///
/// - Source: Suricata "Global-Thresholds" (threshold.config).
public struct ThresholdFile: Sendable {
  /// Whose events are counted together.
  public enum Track: String, Sendable, Hashable, CaseIterable {
    case bySource = "by_src"
    case byDestination = "by_dst"
    case byBoth = "by_both"
    case byRule = "by_rule"
    case byFlow = "by_flow"
    /// Only for `suppress`: either end of the flow.
    case byEither = "by_either"
  }

  public enum Kind: String, Sendable, Hashable, CaseIterable {
    case limit, threshold, both, backoff
  }

  public enum Action: Sendable, Hashable {
    /// `suppress`: no alert; with a track and addresses, only for those.
    case suppress(Track?, AddressExpression?)
    /// `threshold` or `event_filter`.
    case threshold(Kind, Track, count: UInt32, seconds: UInt32, multiplier: UInt32)
    /// `rate_filter`: another action for `timeoutSeconds` once the rate is exceeded.
    case rate(Track, count: UInt32, seconds: UInt32, newAction: RuleAction, timeoutSeconds: UInt32)
  }

  public struct Entry: Sendable, Hashable {
    public var location: RuleLocation
    /// 0 stands for every generator.
    public var gid: UInt32
    /// 0 stands for every rule of the generator.
    public var sid: UInt32
    public var action: Action
  }

  public private(set) var entries: [Entry] = []
  public private(set) var diagnostics: [RuleDiagnostic] = []

  /// An empty file.
  public init() {}

  public static func parse(_ bytes: [UInt8], fileName: String) -> ThresholdFile {
    var file = ThresholdFile()
    var lines = ConfigurationLines(bytes, fileName: fileName)
    while let line = lines.next() {
      do throws(RuleValueError) {
        file.entries.append(try ThresholdLine.parse(line.bytes, line.location(of: line.range.lowerBound)))
      } catch { file.diagnostics.append(line.diagnostic(error)) }
    }
    return file
  }
}

/// One line: a command, then keys and values separated by commas.
private struct ThresholdLine {
  private let end: Int
  private var values: [String: RuleValueItem] = [:]

  static func parse(
    _ line: [UInt8], _ location: RuleLocation
  ) throws(RuleValueError) -> ThresholdFile.Entry {
    let commandEnd = line.firstIndex { ASCII.isSpace($0) } ?? line.count
    let command = ASCII.lowercased(line[..<commandEnd]).text
    let keys: [String]
    switch command {
    case "suppress": keys = ["track", "ip"]
    case "threshold", "event_filter": keys = ["type", "track", "count", "seconds", "multiplier"]
    case "rate_filter": keys = ["track", "count", "seconds", "new_action", "timeout"]
    default:
      throw RuleValueError(
        "unknown command '\(command)'",
        hint: NearMatch.hint(for: command, among: ["suppress", "threshold", "event_filter", "rate_filter"]))
    }
    let fields = try ThresholdLine(line, from: commandEnd, keys: ["gen_id", "sig_id"] + keys)
    let action: ThresholdFile.Action =
      switch command {
      case "suppress": try fields.suppress()
      case "rate_filter": try fields.rate()
      default: try fields.threshold()
      }
    let gid = try fields.number("gen_id", 0...UInt64(UInt32.max))
    let sid = try fields.number("sig_id", 0...UInt64(UInt32.max))
    guard gid != 0 || sid == 0 else {
      throw RuleValueError("gen_id 0 stands for every rule and needs sig_id 0", columnOffset: commandEnd)
    }
    return ThresholdFile.Entry(location: location, gid: gid, sid: sid, action: action)
  }

  private init(_ line: [UInt8], from start: Int, keys: [String]) throws(RuleValueError) {
    end = line.count
    let items: [RuleKeyValue]
    do throws(RuleValueError) {
      items = try RuleValueList.parseKeyValues(Array(line[start...]))
    } catch { throw error.shifted(by: start) }
    for item in items {
      let offset = start &+ item.keyOffset
      guard keys.contains(item.key) else {
        throw RuleValueError(
          "'\(item.key)' is not known here", columnOffset: offset,
          hint: NearMatch.hint(for: item.key, among: keys))
      }
      guard var value = item.value else {
        throw RuleValueError("'\(item.key)' has no value", columnOffset: offset)
      }
      guard values[item.key] == nil else {
        throw RuleValueError("'\(item.key)' stands twice", columnOffset: offset)
      }
      value.offset &+= start
      values[item.key] = value
    }
  }

  private func suppress() throws(RuleValueError) -> ThresholdFile.Action {
    let addresses: AddressExpression?
    if let value = values["ip"] {
      do throws(RuleValueError) { addresses = try AddressExpression(value.bytes) } catch {
        throw error.shifted(by: value.offset)
      }
    } else {
      addresses = nil
    }
    guard values["track"] != nil || addresses != nil else { return .suppress(nil, nil) }
    let track = try word("track", [.bySource, .byDestination, .byEither] as [ThresholdFile.Track])
    guard addresses != nil else {
      throw RuleValueError("'track' needs 'ip'", columnOffset: end)
    }
    return .suppress(track, addresses)
  }

  private func threshold() throws(RuleValueError) -> ThresholdFile.Action {
    let kind = try word("type", ThresholdFile.Kind.allCases)
    let track = try word("track", [.bySource, .byDestination, .byBoth, .byRule, .byFlow] as [ThresholdFile.Track])
    let numbers: ClosedRange<UInt64> = 1...UInt64(UInt32.max)
    let count = try number("count", numbers)
    if kind == .backoff {
      return .threshold(
        kind, track, count: count, seconds: 0, multiplier: try number("multiplier", numbers))
    }
    return .threshold(kind, track, count: count, seconds: try number("seconds", numbers), multiplier: 0)
  }

  private func rate() throws(RuleValueError) -> ThresholdFile.Action {
    let numbers: ClosedRange<UInt64> = 1...UInt64(UInt32.max)
    return .rate(
      try word("track", [.bySource, .byDestination, .byBoth, .byRule, .byFlow] as [ThresholdFile.Track]),
      count: try number("count", numbers), seconds: try number("seconds", numbers),
      newAction: try word("new_action", [.alert, .drop, .pass, .reject] as [RuleAction]),
      timeoutSeconds: try number("timeout", 0...UInt64(UInt32.max)))
  }

  private func required(_ key: String) throws(RuleValueError) -> RuleValueItem {
    guard let value = values[key] else {
      throw RuleValueError("'\(key)' is missing", columnOffset: end)
    }
    return value
  }

  private func number(_ key: String, _ range: ClosedRange<UInt64>) throws(RuleValueError) -> UInt32 {
    let item = try required(key)
    do throws(RuleValueError) {
      // Callers ask for ranges within 32 bits.
      return UInt32(truncatingIfNeeded: try RuleNumber.unsigned(item.bytes, in: range))
    } catch { throw error.shifted(by: item.offset) }
  }

  private func word<Word: RawRepresentable<String>>(
    _ key: String, _ words: [Word]
  ) throws(RuleValueError) -> Word {
    let item = try required(key)
    guard let word = words.first(where: { $0.rawValue == item.word }) else {
      throw item.error(
        "'\(item.text)' is not a \(key)", hint: words.map(\.rawValue).joined(separator: ", "))
    }
    return word
  }
}
