extension RuleSet {
  /// A rule adds values to a dataset or takes some out: what others find there depends on the order of all packets.
  public var changesDatasets: Bool {
    bodies.contains { body in
      body.payload?.program.changesDatasets == true || body.buffers.contains { $0.program.changesDatasets }
    }
  }
}

extension PayloadProgram {
  fileprivate var changesDatasets: Bool {
    let isOwn = datasets.contains {
      switch $0.command {
      case .set, .unset: true
      case .isSet, .isNotSet, .less, .equal, .greater: false
      }
    }
    return isOwn || nested.contains(where: \.changesDatasets)
  }
}
