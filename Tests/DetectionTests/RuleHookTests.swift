import AppLayer
import Testing
import Traffic

@testable import Detection

@Suite struct RuleHookTests {
  @Test func `a rule on a state of a transaction matches once it is reached`() {
    let bench = Bench("alert http1:request_headers any any -> any any (sid:1;)")
    let http = StubTransaction()
    http.reach(HTTPProgress.line)
    #expect(bench.transaction(http) == [])
    http.reach(HTTPProgress.headers)
    #expect(bench.transaction(http) == [1])
    http.reach(HTTPProgress.body)
    #expect(bench.transaction(http) == [])
    #expect(bench.transaction(http, .toClient) == [])
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
