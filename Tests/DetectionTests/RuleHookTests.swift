import AppLayer
import Testing
import Traffic

@testable import Detection

@Suite struct RuleHookTests {
  @Test func `a rule on a state alone matches when it is reached and when it is left`() {
    let bench = Bench("alert http1:request_headers any any -> any any (sid:1;)")
    let http = StubTransaction()
    http.reach(HTTPProgress.line)
    #expect(bench.transaction(http) == [])
    http.reach(HTTPProgress.headers)
    #expect(bench.transaction(http) == [1])
    http.reach(HTTPProgress.body)
    #expect(bench.transaction(http) == [1])
    http.reach(HTTPProgress.trailer)
    #expect(bench.transaction(http) == [])
    #expect(bench.transaction(http, .toClient) == [])
  }

  @Test func `a state that a transaction skips is matched in passing`() {
    let bench = Bench("alert http1:request_body any any -> any any (sid:1;)")
    let http = StubTransaction()
    http.reach(HTTPProgress.headers)
    #expect(bench.transaction(http) == [])
    http.reach(HTTPProgress.complete)
    #expect(bench.transaction(http) == [1])
  }

  @Test func `app-layer-state waits for a state, for the time before it, or for the time after it`() {
    let bench = Bench(
      """
      alert http1 any any -> any any (app-layer-state:request_headers; sid:1;)
      alert http1 any any -> any any (app-layer-state:<request_headers; sid:2;)
      alert http1 any any -> any any (app-layer-state:>request_headers; sid:3;)
      alert http1 any any -> any any (app-layer-state:response_line; sid:4;)
      """)
    let http = StubTransaction()
    http.reach(HTTPProgress.line)
    #expect(bench.transaction(http) == [2])
    http.reach(HTTPProgress.headers)
    #expect(bench.transaction(http) == [1])
    http.reach(HTTPProgress.body)
    #expect(bench.transaction(http) == [1, 3])
    http.reach(HTTPProgress.body, .toClient)
    #expect(bench.transaction(http, .toClient) == [4])
  }

  @Test(arguments: [
    "alert tcp any any -> any any (app-layer-state:request_headers; sid:1;)",
    "alert http1 any any -> any any (app-layer-state:client_hello_done; sid:1;)",
    "alert http1 any any -> any any (app-layer-state:request_line; app-layer-state:request_body; sid:1;)",
  ])
  func `a state needs a protocol that has it, and stands alone`(_ rule: String) {
    #expect(Bench(rule).refusals.count == 1)
  }

  @Test func `a rule on a body alone matches with each piece of it`() {
    let bench = Bench("alert http1:response_body any any -> any any (sid:1;)")
    let http = StubTransaction()
    http.reach(HTTPProgress.body, .toClient)
    #expect(bench.transaction(http, .toClient) == [1])
    #expect(bench.transaction(http, .toClient) == [1])
    http.reach(HTTPProgress.complete, .toClient)
    #expect(bench.transaction(http, .toClient) == [1])
    #expect(bench.transaction(http, .toClient) == [])
  }

  @Test func `buffers beside a hook are looked into`() {
    let bench = Bench("alert http1:request_line any any -> any any (http.uri; content:\"evil\"; sid:1;)")
    let http = StubTransaction()
    http.set(.httpURI, "/evil")
    http.reach(HTTPProgress.headers)
    #expect(bench.transaction(http) == [1])
  }

  @Test func `flow_start is the first packet of each direction`() {
    let bench = Bench("alert tcp:flow_start any any -> any any (sid:1;)")
    bench.flow.packets.toServer = 1
    #expect(bench.packet("x") == [1])
    bench.flow.packets.toServer = 2
    #expect(bench.packet("x") == [])
    bench.flow.packets.toClient = 1
    #expect(bench.packet("x", direction: .toClient) == [1])
  }

  @Test(arguments: ["tcp:request_line", "http1:client_hello_done", "dns:anything"])
  func `hooks that a protocol does not have are refused`(_ name: String) {
    #expect(Bench("alert \(name) any any -> any any (sid:1;)").refusals.count == 1)
  }
}
