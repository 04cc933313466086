import Traffic

extension FlowDetection {
  func hasBit(_ name: UInt16) -> Bool {
    let word = Int(name >> 6)
    return word < bits.count && bits[word] & 1 << UInt64(name & 63) != 0
  }

  func setBit(_ name: UInt16) {
    let word = Int(name >> 6)
    while bits.count <= word { bits.append(0) }
    if !hasBit(name) { bitOrder.append(name) }
    bits[word] |= 1 << UInt64(name & 63)
  }

  func clearBit(_ name: UInt16) {
    guard hasBit(name) else { return }
    bits[Int(name >> 6)] &= ~(1 << UInt64(name & 63))
    bitOrder.removeAll { $0 == name }
  }

  func integer(_ name: UInt16) -> UInt32? { integers.first { $0.name == name }?.value }

  func value(_ operand: IntegerOperand) -> UInt32? {
    switch operand {
    case .constant(let value): value
    case .variable(let name): integer(name)
    }
  }

  func setInteger(_ name: UInt16, _ value: UInt32) {
    if let index = integers.firstIndex(where: { $0.name == name }) {
      integers[index].value = value
    } else if integers.count < Self.variablesMax {
      integers.append((name, value))
    }
  }

  func store(_ captures: [PayloadCapture]) {
    for capture in captures where capture.scope == .flow || capture.scope == .entropy {
      if let index = variables.firstIndex(where: { $0.name == capture.name && $0.scope == capture.scope }) {
        variables[index] = capture
      } else if variables.count < Self.variablesMax {
        variables.append(capture)
      }
    }
  }

  /// Rules have set or captured something.
  public var hasVariables: Bool {
    !integers.isEmpty || !variables.isEmpty || bits.contains { $0 != 0 }
  }

  /// Names of the flow's bits and values of its integers, for the log.
  public func bitNames(_ names: VariableNames) -> [String] {
    guard !bitOrder.isEmpty else { return [] }
    let table = names.names(.flowBit)
    return bitOrder.compactMap { Int($0) < table.count ? table[Int($0)] : nil }
  }

  public func integerValues(_ names: VariableNames) -> [(name: String, value: UInt32)] {
    guard !integers.isEmpty else { return [] }
    let table = names.names(.flowInteger)
    return integers.compactMap { entry in
      Int(entry.name) < table.count ? (table[Int(entry.name)], entry.value) : nil
    }
  }
}
