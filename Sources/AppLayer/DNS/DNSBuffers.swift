import Traffic

extension BufferTable {
  /// Sticky buffers of DNS. A message is there at once, so progress 1 is all there is.
  /// - Source: Suricata 8, "DNS Keywords".
  static let dns: [BufferDeclaration] = [
    BufferDeclaration(
      .dnsQueryName, ["dns.query", "dns_query"], [.init(.dns, .toServer, progress: 1)],
      isMultiple: true, summary: "Each name asked for, in a request."),
    BufferDeclaration(
      .dnsQueriesName, ["dns.queries.rrname", "dns.query.name"], both, isMultiple: true,
      summary: "Each name of the question section, in requests and responses."),
    BufferDeclaration(
      .dnsAnswerName, ["dns.answers.rrname", "dns.answer.name"], both, isMultiple: true,
      summary: "Owner name of each answer record."),
    BufferDeclaration(
      .dnsAuthorityName, ["dns.authorities.rrname"], both, isMultiple: true,
      summary: "Owner name of each authority record."),
    BufferDeclaration(
      .dnsAdditionalName, ["dns.additionals.rrname"], both, isMultiple: true,
      summary: "Owner name of each additional record."),
    BufferDeclaration(
      .dnsResponseName, ["dns.response.rrname"], [.init(.dns, .toClient, progress: 1)],
      isMultiple: true, summary: "Every name of a response, whatever its section."),
    BufferDeclaration(
      .mdnsQueriesName, ["mdns.queries.rrname"], multicast, isMultiple: true,
      summary: "Each name of the question section."),
    BufferDeclaration(
      .mdnsAnswerName, ["mdns.answers.rrname"], multicast, isMultiple: true,
      summary: "Owner name of each answer record."),
    BufferDeclaration(
      .mdnsAuthorityName, ["mdns.authorities.rrname"], multicast, isMultiple: true,
      summary: "Owner name of each authority record."),
    BufferDeclaration(
      .mdnsAdditionalName, ["mdns.additionals.rrname"], multicast, isMultiple: true,
      summary: "Owner name of each additional record."),
    BufferDeclaration(
      .mdnsResponseName, ["mdns.response.rrname"], multicast, isMultiple: true,
      summary: "Every name of a response, whatever its section."),
  ]

  /// Questions and answers both go to the group.
  private static let multicast: [BufferDeclaration.Source] = [
    .init(.mdns, .toServer, progress: 1), .init(.mdns, .toClient, progress: 1),
  ]

  private static let both: [BufferDeclaration.Source] = [
    .init(.dns, .toServer, progress: 1), .init(.dns, .toClient, progress: 1),
  ]
}
