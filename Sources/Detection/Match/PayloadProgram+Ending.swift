extension PayloadProgram {
  /// A step asks where the buffer ends, or that something is nowhere in it: more bytes may change the
  /// answer from yes to no.
  var dependsOnEnd: Bool {
    steps.contains { step in
      switch step {
      case .content(let content): content.isNegated || content.endsWith
      case .pcre(let expression): expression.isNegated
      case .isDataAt(let position): position.isNegated
      case .size, .entropy, .dataset: true
      case .byteTest, .byteJump, .byteExtract, .byteMath, .base64, .asn1: false
      }
    }
  }
}
