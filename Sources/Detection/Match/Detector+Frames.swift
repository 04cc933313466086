import AppLayer
import PacketDecoding
import Traffic

extension Detector {
  /// Frames are to be marked: a rule looks at some.
  public var usesFrames: Bool { !ruleSet.groups.frames.isEmpty }

  /// Tries the rules on what is new in the frames of one direction; each rule matches a frame once.
  public mutating func inspectFrames(
    _ log: FrameLog, direction: Direction, packet: DecodedPacket, bytes: RawSpan, flow: FlowFacts,
    state: FlowDetection, into matches: inout MatchList
  ) {
    guard usesFrames, !state.isPassed else { return }
    let ends = PacketEnds(packet, direction: direction, packetDirection: flow.packetDirection)
    let context = TrialContext(packet: packet, ends: ends, flow: flow, state: state, packetBytes: bytes)
    for index in log.takeChanged(direction) {
      var frame = log.frames[index]
      tryFrame(&frame, context, into: &matches)
      log.note(index, doneRules: frame.doneRules)
    }
    log.removeComplete(direction)
  }

  private mutating func tryFrame(
    _ frame: inout AppFrame, _ context: borrowing TrialContext, into matches: inout MatchList
  ) {
    for rule in ruleSet.groups.frames where !frame.doneRules.contains(rule) {
      let body = ruleSet.bodies[Int(rule)]
      guard body.frame == frame.kind else { continue }
      guard headHolds(rule, context.ends, context.flow),
        conditionsHold(body, context.packet, context.ends, context.flow, context.state, context.packetBytes)
      else {
        frame.doneRules.append(rule)
        continue
      }
      counters.candidates &+= 1
      guard let began = meter.begin(rule) else { continue }
      scratch.beginRule()
      let facts = BufferFacts(offset: frame.offset, isComplete: frame.isComplete)
      var holds = true
      for step in body.buffers where holds {
        guard case .frame = step.subject else { continue }
        holds = (!step.dependsOnEnd || frame.isComplete) && runs(step.program, on: frame.bytes.rawSpan, facts)
      }
      if began > 0 { endTrial(rule, began: began) }
      guard holds else { continue }
      frame.doneRules.append(rule)
      noteMatch(
        rule, body, source: .stream, transaction: frame.transactionID, context, frame: MatchedFrame(frame), into: &matches)
    }
  }
}
