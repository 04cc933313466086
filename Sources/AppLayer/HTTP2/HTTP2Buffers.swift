import Traffic

extension BufferTable {
  /// Sticky buffers that only HTTP/2 has; those of HTTP it shares (``sharedWithHTTP2(_:)``).
  /// - Source: Suricata 8, "HTTP2 Keywords".
  static let http2: [BufferDeclaration] = [
    BufferDeclaration(
      .http2HeaderName, ["http2.header_name"],
      [.http2, .doh2].flatMap { appProtocol in
        Direction.allCases.map { .init(appProtocol, $0, progress: HTTPProgress.body) }
      },
      isMultiple: true, summary: "Name of each header field.")
  ]

  /// Not of HTTP/2: it has no such text, or Suricata has no such buffer there.
  private static let http1Only: Set<BufferID> = [.httpStart, .fileName]

  /// Buffers of HTTP/1 and DNS with the places where HTTP/2 and DNS over HTTP/2 have them too.
  static func sharedWithHTTP2(_ declarations: [BufferDeclaration]) -> [BufferDeclaration] {
    declarations.map { declaration in
      guard !http1Only.contains(declaration.id) else { return declaration }
      var copy = declaration
      for source in declaration.sources {
        switch source.appProtocol {
        case .http:
          copy.sources.append(.init(.http2, source.direction, progress: source.progress))
          copy.sources.append(.init(.doh2, source.direction, progress: source.progress))
        case .dns:
          copy.sources.append(.init(.doh2, source.direction, progress: HTTPProgress.complete))
        default: continue
        }
      }
      return copy
    }
  }
}
