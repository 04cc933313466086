extension BufferTable {
  static let tls: [BufferDeclaration] = []
}
