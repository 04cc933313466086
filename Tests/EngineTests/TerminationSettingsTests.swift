import Interception
import Testing

@testable import Engine

/// What a file says of sites of one's own.
@Suite struct TerminationSettingsTests {
  private func file(_ lines: String) -> String {
    """
    capture: {mode: terminate}
    interception:
      terminate:
        - listen: 192.0.2.1:443
          certificate: /a/site.pem
          backends: 127.0.0.1:8080
          \(lines)
    """
  }

  private func site(_ lines: String) throws -> TerminationSettings.Site {
    let listeners = try settings(file(lines)).interception.terminate.listeners
    return try #require(listeners.first?.sites.first)
  }

  @Test(arguments: [
    ("", 16, 4), ("keep-alive: 3", 3, 4), ("keep-alive: 0", 0, 4), ("keep-alive: no", 0, 4), ("keep-alive: off", 0, 4),
    ("keep-alive: 1024", 1_024, 4), ("keep-alive-time: 60", 16, 60), ("keep-alive-time: 3600", 16, 3_600),
  ])
  func `Connections to backends are kept as a site says`(line: String, count: Int, seconds: Int64) throws {
    let site = try site(line)
    #expect(site.keptCount == count)
    #expect(site.keptSeconds == seconds)
  }

  @Test(arguments: ["keep-alive: 1025", "keep-alive: -1", "keep-alive: many", "keep-alive-time: 0", "keep-alive-time: 3601", "keep-alive-time: no"])
  func `What can't be kept so is refused by name`(line: String) throws {
    let said = refusal { _ = try site(line) }
    #expect(said?.contains(String(line.prefix { $0 != ":" })) == true, "\(said ?? "taken")")
  }

  @Test(arguments: [
    ("none", TerminationSettings.Site.ClientCertificate.none), ("requested", .requested), ("optional", .optional), ("required", .required),
  ])
  func `Clients are asked for a certificate as a site says`(word: String, wanted: TerminationSettings.Site.ClientCertificate) throws {
    let site = try site("client-certificate: \(word)\n      client-ca: /a/clients.pem")
    #expect(site.clientCertificate == wanted)
    #expect(site.clientAuthorities == "/a/clients.pem")
  }

  @Test func `Who asks has to say whose certificates count, and how he asks`() throws {
    #expect(refusal { _ = try site("client-certificate: requested") }?.contains("client-ca is missing") == true)
    #expect(refusal { _ = try site("client-certificate: sometimes\n      client-ca: /a") }?.contains("client-certificate") == true)
    #expect(refusal { _ = try settings("interception: {learning: {client-certificates: often}}") }?.contains("client-certificates") == true)
  }
}
