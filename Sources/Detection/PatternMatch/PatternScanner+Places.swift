import Traffic

// Literals that are looked for without a database: in fixed places, and where the buffer ends.

extension PatternScanner {
  mutating func findFixed(
    _ fixed: FixedLiterals, _ table: PatternTable, _ first: Int, _ bytes: RawSpan, newFrom: Int, offset: UInt64,
    base: UInt64, restartsAt: Int?, members: ClosedRange<UInt8>, packetFrom: Int?
  ) {
    var members = members
    if let packetFrom, members.lowerBound == TableMember.packets {
      findFixed(
        fixed, table, first, bytes.extracting(packetFrom...), newFrom: 0, offset: 0, base: base &+ UInt64(packetFrom),
        members: TableMember.packets...TableMember.packets)
      guard members.upperBound > TableMember.packets else { return }
      members = TableMember.streams...members.upperBound
    }
    findFixed(fixed, table, first, bytes, newFrom: newFrom, offset: offset, base: base, members: members)
    guard let restartsAt, restartsAt > 0 || offset > 0, restartsAt < bytes.byteCount else { return }
    findFixed(
      fixed, table, first, bytes.extracting(restartsAt...), newFrom: max(0, newFrom &- restartsAt), offset: 0,
      base: base &+ UInt64(restartsAt), members: members)
  }

  /// Looks for literals in their places, and adds them to what was seen.
  ///
  /// - Parameters:
  ///   - offset: where the first octet of `bytes` lies as positions of rules count.
  ///   - base: where it lies in the whole buffer.
  mutating func findFixed(
    _ fixed: FixedLiterals, _ table: PatternTable, _ first: Int, _ bytes: RawSpan, newFrom: Int, offset: UInt64,
    base: UInt64, members: ClosedRange<UInt8>
  ) {
    guard offset <= UInt64(FixedLiterals.positionMax), newFrom < bytes.byteCount else { return }
    let constraints = table.constraints
    fixed.find(in: bytes, offset: offset, members: members) { index, end in
      let pattern = first &+ index
      guard end > newFrom, bytes.byteCount <= Int(constraints[pattern].sizeMax) else { return }
      note(pattern, UInt32(truncatingIfNeeded: base &+ UInt64(end)))
    }
  }

  /// Looks for literals of one member that the buffer ends with, and adds them to what was seen.
  mutating func findEnding(
    _ ending: EndLiterals, _ table: PatternTable, _ first: Int, _ bytes: RawSpan, offset: UInt64, base: UInt64, member: UInt8
  ) {
    let constraints = table.constraints
    let end = UInt64(bytes.byteCount)
    ending.find(in: bytes, member: member) { index in
      let pattern = first &+ index
      guard constraints[pattern].allows(offset &+ end), end <= UInt64(constraints[pattern].sizeMax) else { return }
      note(pattern, UInt32(truncatingIfNeeded: base &+ end))
    }
  }
}
