import TestSupport

@testable import AppLayer

/// Conversations of all the kinds that the parser tells apart, sane and odd.
enum HTTPCorpus {
  static let get = Sent.client(
    "GET /p/a%20th?q=%31 HTTP/1.1\nHost: h.example:81\nCookie: a=b\nAccept: */*\n\n")

  private static func answers(_ texts: [String]) -> [[Sent]] {
    texts.map { [get, .server($0), .serverEnd] }
  }

  private static func questions(_ texts: [String]) -> [[Sent]] {
    texts.map { [.client($0), .server("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), .clientEnd, .serverEnd] }
  }

  /// Line ends as written, "\n" is a line feed alone.
  private static func rawAnswers(_ texts: [String]) -> [[Sent]] {
    texts.map { [get, .server(Array($0.utf8)), .serverEnd] }
  }

  private static func rawQuestions(_ texts: [String]) -> [[Sent]] {
    texts.map { [.client(Array($0.utf8)), .clientEnd, .serverEnd] }
  }

  static let all: [[Sent]] =
    answers([
      "HTTP/1.1 200 OK\nContent-Length: 5\nServer: s\n\nhello",
      "HTTP/1.1 200 OK\n\nuntil the end\nof all",
      "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;x=y\nhello\n3\n, w\n000\nT: v\n U\n\n",
      "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\nnot a size\nmore",
      "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n  no size",
      "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 1\n\nx",
      "junk\nHTTP/1.1 200 OK\nContent-Length: 1\n\nx", "\n\nHTTP/1.0 404 Not\n\nz", "<b>\njust a page\n</b>",
      "a\nb\nHTTP/1.1 200 OK\n\nz", "HTTP/1.1 200 OK\nContent-Length: 3\n 9\n\nabcdefghi",
      "HTTP/1.1 204 No\n\n", "HTTP/1.1 200 OK\nX: 1\nX: 2\nx: 3\n y\n\tz\nno colon\n: e\n\nb",
      "HTTP/1.1 206 P\nContent-Range: bytes 0-4/9\nContent-Length: 5\n\nhello",
    ])
    + rawAnswers([
      "HTTP/1.1 200 OK\nA: 1\nContent-Length: 2\n\nhi", "HTTP/1.1 200 OK\rA: 1\rB: 2\r\r\nhi",
      "HTTP/1.1 200 OK\r\nA: 1\r\n\r \nB: 2\r\n\r\nhi", "HTTP/1.1 200 OK\n\rA: 1\n\rB: 2\n\r\nhi",
      "HTTP/1.1 200 OK\r\nA: 1\n\r\r\n\nhi", "HTTP/1.1 200 OK\r\nA: 1\r\n B: 2\r\n C\r\n\r\nhi",
      "HTTP/1.1 200 OK\r\nA\r\n : 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nA: 1\r\n \r\n \n\nhi",
      "HTTP/1.1 200 OK\r\nA: 1\r\n\0B\r\n\r\nhi", "HTTP/1.1 200 OK\r\n\r\n\r\n\r\n", "HTTP/1.1",
      "\0HTTP/1.1 200\r\n\r\nx",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n \t\n5\nhello\n\n0\n\n",
      "HTTP/1.1 200 OK\r\nA: 1\r\n\r",
    ])
    + questions([
      "POST /u HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello",
      "POST /u HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\nhello\n0\nT: v\n\n",
      "PUT /f HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc\n\nGET /n HTTP/1.1\nHost: a\n\n",
      "GET http://u@b:8/x HTTP/1.1\nHost: a\n\n", "GET /\n", "GET /sloppy\nHost: a\n\n", "GET\n",
      " GET  /a b\tc HTTP/1.1\nHost: a\n\n", "POST / HTTP/1.1\nContent-Length: x\n\n",
      "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\nzz", "GET / HTTP/1.1\nHost: a\nX: 1\n 2\n\t3\n\n",
    ])
    + rawQuestions([
      "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\n\r",
      "GET / HTTP/1.1\nHost: a\n\r\r\n\nGET /2 HTTP/1.1\n\n",
      "GET / HTTP/1.1\nHost: a\n\r\nGET /2 HTTP/1.1\nHost: b\n\n", "GET / HTTP/1.1\r\nHost\r\n : a\r\n\r\n",
      "GET / HTTP/1.1\nA: b\n \n c: d\n\n\n", "GET /\r\n                      \r\n", "GET / HTTP/1.1\r\n\r\n",
    ])
    + ["gzip", "deflate", "gzip, deflate", "br", "strange"].flatMap { coding in
      [
        Coded.gzip, Coded.raw, Coded.zlib, Coded.gzipWithAll, Coded.twice, Coded.gzip + Coded.gzip,
        Coded.brotli, Array("plain".utf8),
      ]
      .map { Coded.answer(coding, $0) }
    }
    + [
      HTTPContentTests.upload(HTTPContentTests.form),
      [
        get, get,
        .server(
          "HTTP/1.1 200 A\nContent-Length: 1\n\nxHTTP/1.1 201 B\nTransfer-Encoding: chunked\n\n1\ny\n0\n\n"),
      ],
      [
        .client("HEAD / HTTP/1.1\nHost: a\n\n"), .server("HTTP/1.1 200 A\nContent-Length: 9\n\n"), get,
        .server("HTTP/1.1 304 N\n\n"),
      ],
      [
        .client("CONNECT h:1 HTTP/1.1\nHost: h\n\n"), .server("HTTP/1.1 200 Y\n\n"), .client([22, 3, 1, 0]),
        .server([22, 3, 3, 0]),
      ],
      [.client("CONNECT h:1 HTTP/1.1\nHost: h\n\n"), .server("HTTP/1.1 403 N\nContent-Length: 0\n\n"), get],
      [
        .client("GET / HTTP/1.1\nHost: a\nUpgrade: websocket\n\n"),
        .server("HTTP/1.1 101 S\nUpgrade: websocket\n\n"), .server([0x81, 1, 65]),
      ],
      [.server("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"), get],
      [.client("GET /old\n"), .server("<html>old</html>"), .serverEnd],
    ]
}
