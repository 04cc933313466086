import Capture
import Detection
import EventOutput
import Glibc
import Inspection

/// What the settings come to: files, plans for workers, and errors in the daemon's terms.
extension Daemon {
  static func settings(_ sources: Sources) throws(DaemonError) -> Settings {
    do throws(SettingsError) {
      var settings = try Settings.load(
        file: sources.configuration, overrides: sources.overrides, flowSeed: .random(in: 1 ... .max))
      settings.prepareForTraffic(isInline: settings.capture.mode != .tap)
      return settings
    } catch {
      throw .input(error.message)
    }
  }

  static func environment<Value>(
    _ body: () throws(SettingsError) -> Value
  ) throws(DaemonError) -> Value {
    do throws(SettingsError) {
      return try body()
    } catch {
      throw .environment(error.message)
    }
  }

  static func fileStore(_ settings: Settings) throws(DaemonError) -> FileDirectory? {
    do throws(SettingsError) {
      return try settings.outputs.openFileStore(in: settings.outputs.directory)
    } catch {
      throw .environment(error.message)
    }
  }

  static func openOutput(_ settings: Settings) throws(DaemonError) -> Int32 {
    do throws(SettingsError) {
      let path =
        settings.outputs.isEVEEnabled
        ? try TextFile.path(settings.outputs.fileName, in: settings.outputs.directory) : "/dev/null"
      let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
      guard descriptor >= 0 else {
        throw SettingsError("\(path): cannot be written: \(TextFile.lastError())")
      }
      return descriptor
    } catch {
      throw .environment(error.message)
    }
  }

  static func plans(_ settings: Settings) -> [QueueWorkerPlan] {
    var options = NFQueueOptions()
    options.failsOpen = settings.capture.failsOpen
    options.packetCountMax = settings.capture.queueLength
    switch settings.capture.mode {
    case .router, .bridge, .host: break
    case .tap, .explicit, .terminate: return []
    }
    return (0..<settings.capture.queueCount).map { index in
      var inspection = settings.inspection
      // Workers give identifiers of their own.
      inspection.flows.seed &+= UInt64(index) &* 0x9e37_79b9_7f4a_7c15
      settings.prepareForRelease(&inspection)
      return QueueWorkerPlan(
        queue: settings.capture.firstQueue &+ index, options: options, inspection: inspection,
        eve: settings.outputs.eve, inspects: settings.capture.inspects, marks: .standard,
        divertedPorts: settings.interception.synPorts, marksRefusals: settings.capture.mode != .router)
    }
  }

  static func taps(
    _ settings: Settings, _ publication: RulePublication, _ shared: SharedDetectionState, _ records: RecordQueue
  ) -> [TapWorker] {
    guard settings.capture.mode == .tap else { return [] }
    var workers: [TapWorker] = []
    for interface in settings.capture.interfaces {
      for _ in 0..<settings.capture.queueCount {
        var inspection = settings.inspection
        inspection.flows.seed &+= UInt64(workers.count) &* 0x9e37_79b9_7f4a_7c15
        workers.append(
          TapWorker(
            name: interface, inspection: inspection, eve: settings.outputs.eve, publication: publication,
            shared: shared, records: records))
      }
    }
    return workers
  }
}

/// Why the daemon cannot run.
public enum DaemonError: Error, Sendable {
  /// Configuration or rules are wrong.
  case input(String)
  /// Kernel, privileges, ports, files of the system.
  case environment(String)
  /// It was told to end before it began.
  case stopped

  public var message: String {
    switch self {
    case .input(let text), .environment(let text): text
    case .stopped: "told to end"
    }
  }
}
