extension BufferTable {
  static let http: [BufferDeclaration] = []
}
