import AppLayer
import TestSupport
import Traffic

/// A ``Conversation``. However it is cut, the same exchanges come out.
enum HTTPTarget {
  static func run(_ bytes: [UInt8]) {
    let conversation = Conversation(bytes)
    // Brotli's decoder does not tell where exactly broken data broke off.
    let isComparable = Direction.allCases.allSatisfy { !mayNameBrotli(conversation, $0) }
    conversation.checkCuts(isComparable) { HTTPParser(settings: HTTPSettings()) }
  }

  private static func mayNameBrotli(_ conversation: Conversation, _ direction: Direction) -> Bool {
    var last: UInt8 = 0
    for piece in conversation.pieces where piece.direction == direction {
      // Field values are compared without NUL.
      for byte in piece.bytes where byte != 0 {
        if last | 32 == UInt8(ascii: "b"), byte | 32 == UInt8(ascii: "r") { return true }
        last = byte
      }
    }
    return false
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    func seed(_ request: String, _ response: String) -> [UInt8] {
      Conversation.input([(.toServer, crlf(request)), (.toClient, crlf(response))])
    }
    return [
      ("get", seed("GET /p/a%20th?q=%31 HTTP/1.1\nHost: h.example:81\nCookie: a=b\nAccept: */*\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\nServer: s\n\nhello")),
      ("chunked", seed("POST /u HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\nhello\n0\nT: v\n\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;x=y\nhello\n3\n, w\n000\nT: v\n U\n\n")),
      ("pipelined", seed("GET /1 HTTP/1.1\nHost: a\n\nGET /2 HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 1\n\nxHTTP/1.1 304 N\n\n")),
      ("form", seed(
        "POST /f HTTP/1.1\nHost: a\nContent-Type: multipart/form-data; boundary=B\nContent-Length: 106\n\n--B\nContent-Disposition: form-data; name=\"f\"; filename=\"x.exe\"\nContent-Type: a/b\n\nMZdata\n--B--\n",
        "HTTP/1.0 404 Not\n\nz")),
      ("proxy", seed("CONNECT h:1 HTTP/1.1\nHost: h\n\n", "HTTP/1.1 200 Y\n\n")),
      ("folded", seed("GET http://u@b:8/x HTTP/1.1\nHost: a\nX: 1\n 2\n\t3\nno colon\n: e\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 3\n 9\n\nabcdefghi")),
      ("old", seed("GET /\n", "<b>\njust a page\n</b>")),
      ("gzip", Conversation.input([
        (.toServer, crlf("GET / HTTP/1.1\nHost: a\n\n")),
        (.toClient, crlf("HTTP/1.1 200 OK\nContent-Encoding: gzip\n\n") + [
          0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0x86, 0xa6, 0x10, 0x36, 5, 0, 0, 0,
        ]),
      ])),
    ]
  }
}
