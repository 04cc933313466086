extension BufferTable {
  private typealias Source = BufferDeclaration.Source

  private static let requestLine = Source(.http, .toServer, progress: HTTPProgress.headers)
  private static let requestHead = Source(.http, .toServer, progress: HTTPProgress.body)
  private static let requestBody = Source(.http, .toServer, progress: HTTPProgress.body)
  private static let responseLine = Source(.http, .toClient, progress: HTTPProgress.headers)
  private static let responseHead = Source(.http, .toClient, progress: HTTPProgress.body)
  private static let responseBody = Source(.http, .toClient, progress: HTTPProgress.body)
  /// Trailing fields change what the whole-head buffers hold.
  private static let requestTrailer = Source(.http, .toServer, progress: HTTPProgress.complete)
  private static let responseTrailer = Source(.http, .toClient, progress: HTTPProgress.complete)

  /// - Source: Suricata 8, "HTTP Keywords" and "File Keywords" of its rule documentation.
  static let http: [BufferDeclaration] = [
    .init(
      .httpURI, ["http.uri"], legacy: ["http_uri"], [requestLine],
      summary: "Request target, percent-decoded and with its path normalised."),
    .init(
      .httpURIRaw, ["http.uri.raw"], legacy: ["http_raw_uri"], [requestLine],
      summary: "Request target as it was sent."),
    .init(
      .httpMethod, ["http.method"], legacy: ["http_method"], [requestLine],
      summary: "Request method."),
    .init(
      .httpProtocol, ["http.protocol", "http_protocol"], [requestLine, responseLine],
      summary: "Protocol field of the request or status line."),
    .init(
      .httpRequestLine, ["http.request_line", "http_request_line"], [requestLine],
      summary: "Whole request line without its line end."),
    .init(
      .httpResponseLine, ["http.response_line", "http_response_line"], [responseLine],
      summary: "Whole status line without its line end."),
    .init(
      .httpHost, ["http.host"], legacy: ["http_host"], [requestHead],
      summary: "Host of the request in lower case, without the port."),
    .init(
      .httpHostRaw, ["http.host.raw"], legacy: ["http_raw_host"], [requestHead],
      summary: "Host field as it was sent."),
    .init(
      .httpUserAgent, ["http.user_agent"], legacy: ["http_user_agent"], [requestHead],
      summary: "Value of User-Agent."),
    .init(
      .httpReferer, ["http.referer", "http_referer"], [requestHead], summary: "Value of Referer."),
    .init(
      .httpCookie, ["http.cookie"], legacy: ["http_cookie"], [requestHead, responseHead],
      summary: "Value of Cookie, or of Set-Cookie in a response."),
    .init(
      .httpAccept, ["http.accept", "http_accept"], [requestHead], summary: "Value of Accept."),
    .init(
      .httpAcceptEncoding, ["http.accept_enc", "http_accept_enc"], [requestHead],
      summary: "Value of Accept-Encoding."),
    .init(
      .httpAcceptLanguage, ["http.accept_lang", "http_accept_lang"], [requestHead],
      summary: "Value of Accept-Language."),
    .init(
      .httpConnection, ["http.connection", "http_connection"], [requestHead, responseHead],
      summary: "Value of Connection."),
    .init(
      .httpContentType, ["http.content_type", "http_content_type"], [requestHead, responseHead],
      summary: "Value of Content-Type."),
    .init(
      .httpContentLength, ["http.content_len", "http_content_len"], [requestHead, responseHead],
      summary: "Value of Content-Length, as text."),
    .init(.httpLocation, ["http.location"], [responseHead], summary: "Value of Location."),
    .init(.httpServer, ["http.server"], [responseHead], summary: "Value of Server."),
    .init(
      .httpHeader, ["http.header"], legacy: ["http_header"],
      [requestHead, responseHead, requestTrailer, responseTrailer],
      summary: "All fields as \"Name: value\\r\\n\", repeated ones joined, cookies left out."),
    .init(
      .httpHeaderRaw, ["http.header.raw"], legacy: ["http_raw_header"],
      [requestHead, responseHead, requestTrailer, responseTrailer],
      summary: "All fields as they were sent."),
    .init(
      .httpHeaderNames, ["http.header_names", "http_header_names"], [requestHead, responseHead],
      summary: "Names of the fields, each between line ends, a blank line at the end."),
    .init(
      .httpStart, ["http.start", "http_start"], [requestHead, responseHead],
      summary: "First line and fields as they were sent."),
    .init(
      .httpRequestHeader, ["http.request_header", "http_request_header"], [requestHead],
      isMultiple: true, summary: "Each request field as \"Name: value\"."),
    .init(
      .httpResponseHeader, ["http.response_header", "http_response_header"], [responseHead],
      isMultiple: true, summary: "Each response field as \"Name: value\"."),
    .init(
      .httpRequestBody, ["http.request_body"], legacy: ["http_client_body"], [requestBody],
      isStreaming: true, summary: "Request body without its transfer coding."),
    .init(
      .httpResponseBody, ["http.response_body"], legacy: ["http_server_body"], [responseBody],
      isStreaming: true, summary: "Response body, unchunked and decompressed."),
    .init(
      .httpStatusCode, ["http.stat_code"], legacy: ["http_stat_code"], [responseLine],
      summary: "Status code, as text."),
    .init(
      .httpStatusMessage, ["http.stat_msg"], legacy: ["http_stat_msg"], [responseLine],
      summary: "Reason phrase."),
    .init(
      .fileData, ["file.data", "file_data"], [requestBody, responseBody],
      isMultiple: true, isStreaming: true,
      summary: "Content of a file in transfer: decoded response body, or what a request uploads."),
    .init(
      .fileName, ["file.name"], [requestBody, responseBody], isMultiple: true, isStreaming: true,
      summary: "Name of a file in transfer."),
    .init(
      .fileMagic, ["file.magic"], [requestBody, responseBody], isMultiple: true, isStreaming: true,
      summary: "What libmagic calls a file in transfer, by its beginning."),
  ]
}
