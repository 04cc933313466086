extension BufferTable {
  static let dns: [BufferDeclaration] = []
}
