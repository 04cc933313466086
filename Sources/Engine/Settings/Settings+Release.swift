import Inspection

extension Settings {
  /// What of `capture.release` the packet path has to know.
  func prepareForRelease(_ inspection: inout InspectionSettings) {
    var releases = capture.releases
    if !capture.releasesEncrypted { releases.remove(.encrypted) }
    if inspection.bypassesEncrypted { releases.insert(.encrypted) }
    inspection.releases = releases
    guard !releases.isEmpty || inspection.bypassesEncryptedSSH else { return }
    // The kernel tells when such a flow is over; silence says nothing, since nothing of it is seen.
    let long = Int32(5 * 86_400)
    inspection.flows.tcpTimeouts.bypassedSeconds = max(long, inspection.flows.tcpTimeouts.bypassedSeconds)
    inspection.flows.udpTimeouts.bypassedSeconds = max(long, inspection.flows.udpTimeouts.bypassedSeconds)
    inspection.flows.icmpTimeouts.bypassedSeconds = max(600, inspection.flows.icmpTimeouts.bypassedSeconds)
    inspection.flows.otherTimeouts.bypassedSeconds = max(long, inspection.flows.otherTimeouts.bypassedSeconds)
  }
}
