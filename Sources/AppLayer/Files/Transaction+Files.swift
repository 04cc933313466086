import Traffic

extension Transaction {
  /// The files sent in a direction, in order.
  public final func files(_ direction: Direction) -> [TransferFile] {
    direction == .toServer ? filesToServer : filesToClient
  }

  public final var hasFiles: Bool { !filesToServer.isEmpty || !filesToClient.isEmpty }

  @discardableResult
  final func addFile(_ name: [UInt8], _ direction: Direction, content: HTTPBody? = nil) -> TransferFile {
    let file = makeFile(name, direction)
    file.content = content
    let isWanted =
      direction == .toServer
      ? storesFiles.toServer || flowFiles?.isStored.toServer == true
      : storesFiles.toClient || flowFiles?.isStored.toClient == true
    if isWanted { file.want() }
    if direction == .toServer { filesToServer.append(file) } else { filesToClient.append(file) }
    return file
  }

  /// A rule asks for files to be stored: these, or all of the transaction or flow, those to come included.
  public final func store(_ scope: FileStoreScope, _ directions: [Direction], files: [TransferFile]) {
    for file in files { file.want() }
    guard scope != .file else { return }
    for direction in directions {
      for file in self.files(direction) { file.want() }
      switch (scope, direction) {
      case (.file, _): break
      case (.transaction, .toServer): storesFiles.toServer = true
      case (.transaction, .toClient): storesFiles.toClient = true
      case (.flow, .toServer): flowFiles?.isStored.toServer = true
      case (.flow, .toClient): flowFiles?.isStored.toClient = true
      }
    }
  }

  /// File buffers that any protocol has: name, type, and content that belongs to one file alone.
  final func fileBuffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard index >= 0 else { return nil }
    let files = files(direction)
    switch id {
    case .fileName: return index < files.count ? BufferView(files[index].name) : nil
    case .fileMagic:
      var left = index
      for file in files {
        guard let magic = file.magic else { continue }
        if left == 0 { return BufferView(magic) }
        left -= 1
      }
      return nil
    case .fileData:
      guard index < files.count, let content = files[index].content else { return nil }
      // A file without content yet still has its place among the others.
      return content.view ?? BufferView([], isComplete: content.isComplete)
    default: return nil
    }
  }
}
