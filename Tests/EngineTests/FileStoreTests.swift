import Detection
import EventOutput
import Foundation
import RuleLanguage
import TestSupport
import Testing
import Traffic

@testable import Engine

/// Rules, records and the store on files in transfer, through the whole of an evaluation.
@Suite struct FileStoreTests {
  /// "hello" and its digests.
  private static let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
  private static let sha1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
  private static let md5 = "5d41402abc4b2a76b9719d911017c592"

  private func capture(
    _ response: String = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    request: String = "GET /a/x.pdf HTTP/1.1\r\nHost: a.example\r\n\r\n", segmentSize: Int = 1460
  ) -> PcapWriter {
    var writer = PcapWriter()
    var web = TCPConversation()
    web.handshake()
    web.send(.toServer, request)
    web.send(.toClient, response, segmentSize: segmentSize)
    web.fin()
    web.fin(from: .toClient)
    for packet in web.packets { writer.add(packet) }
    return writer
  }

  private func evaluate(
    _ writer: PcapWriter, _ folder: TemporaryFolder, rules: String, settings text: [String] = [],
    isInline: Bool = false
  ) throws -> String {
    var settings = try Settings.load(file: nil, overrides: text, flowSeed: 1)
    settings.prepareForCaptures(isInline: isInline)
    let shared = SharedDetectionState()
    let loaded = try RuleLoader.load(
      settings, paths: [folder.file("t.rules", Array(rules.utf8))], shared: shared)
    #expect(loaded.diagnostics.isEmpty)
    var summary = EvaluationSummary()
    let path = folder.path + "/eve.json"
    let capture = try folder.file("a.pcap", writer.bytes)
    try Evaluation(
      settings: settings, ruleSet: loaded.ruleSet, names: shared.names,
      files: try settings.outputs.openFileStore(in: folder.path)
    ).run([capture], jobs: 1, to: path, into: &summary) { _, _ in }
    return String(decoding: TextFile.read(path) ?? [], as: UTF8.self)
  }

  private func sids(_ records: String) -> Set<Int> {
    Set(
      lines(records, "alert").compactMap { record in
        (record["alert"] as? [String: Any])?["signature_id"] as? Int
      })
  }

  private func lines(_ records: String, _ type: String) -> [[String: Any]] {
    records.split(separator: "\n").compactMap {
      try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
    }.filter { $0["event_type"] as? String == type }
  }

  @Test func `rules match files by name, extension, type, size and digest`() throws {
    let folder = try TemporaryFolder()
    // A digest a line; text behind it and comments are not looked at.
    _ = try folder.file("good", Array("# known\n\(Self.sha256)  x.pdf\n".utf8))
    _ = try folder.file("sha1", Array("\(Self.sha1.uppercased())\r\n".utf8))
    _ = try folder.file("md5", Array("\(String(repeating: "0", count: 32))\n\(Self.md5)\n".utf8))
    _ = try folder.file("other", Array("\(String(repeating: "a", count: 64))\n".utf8))
    let records = try evaluate(
      capture(), folder,
      rules: """
        alert http any any -> any any (filename:"X.P"; sid:1;)
        alert http any any -> any any (filename:"y.p"; sid:101;)
        alert http any any -> any any (fileext:"PDF"; sid:2;)
        alert http any any -> any any (fileext:"df"; sid:102;)
        alert http any any -> any any (fileext:!"doc"; sid:3;)
        alert http any any -> any any (fileext:!"pdf"; sid:103;)
        alert http any any -> any any (filemagic:"ascii TEXT"; sid:4;)
        alert http any any -> any any (file.magic; content:"PDF"; sid:104;)
        alert tcp any any -> any any (filesize:5; sid:5;)
        alert tcp any any -> any any (filesize:>5; sid:105;)
        alert http any any -> any any (filesha256:good; sid:6;)
        alert http any any -> any any (filesha256:other; sid:106;)
        alert http any any -> any any (filesha256:!other; sid:7;)
        alert http any any -> any any (filesha256:!good; sid:107;)
        alert http any any -> any any (filesha1:sha1; sid:8;)
        alert http any any -> any any (filemd5:md5; filesize:<6; sid:9;)
        alert http any any -> any any (filemd5:md5; filesize:<5; sid:109;)
        alert http any any -> any any (file.name; content:"/a/"; startswith; file.data; content:"hello"; sid:10;)
        alert http any any -> any any (flow:to_server; filesize:5; sid:110;)

        """)
    #expect(sids(records) == Set(1...10))
    let info = try #require(lines(records, "fileinfo").first?["fileinfo"] as? [String: Any])
    #expect(info["filename"] as? String == "/a/x.pdf")
    #expect(info["state"] as? String == "CLOSED")
    #expect(info["gaps"] as? Bool == false)
    #expect(info["magic"] as? String == "ASCII text, with no line terminators")
    #expect(info["md5"] as? String == Self.md5)
    #expect(info["sha1"] as? String == Self.sha1)
    #expect(info["sha256"] as? String == Self.sha256)
    #expect(info["stored"] as? Bool == false)
    #expect(info["size"] as? Int == 5)
  }

  @Test func `nothing is found out that nobody asks for`() throws {
    let records = try evaluate(
      capture(), try TemporaryFolder(), rules: "alert http any any -> any any (filesize:5; sid:1;)\n")
    let info = try #require(lines(records, "fileinfo").first?["fileinfo"] as? [String: Any])
    #expect(info["md5"] == nil && info["sha256"] == nil && info["magic"] == nil)
  }

  @Test func `a file that breaks off has no digest to match but may be too large`() throws {
    let folder = try TemporaryFolder()
    _ = try folder.file("good", Array("\(Self.sha256)\n".utf8))
    let records = try evaluate(
      capture("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), folder,
      rules: """
        alert http any any -> any any (filesize:>4; sid:1;)
        alert http any any -> any any (filesize:5; sid:2;)
        alert http any any -> any any (filesha256:good; sid:3;)

        """)
    #expect(sids(records) == [1])
    let info = try #require(lines(records, "fileinfo").first?["fileinfo"] as? [String: Any])
    #expect(info["state"] as? String == "TRUNCATED")
  }

  @Test func `a drop on a digest stops the packet with the last octets`() throws {
    let folder = try TemporaryFolder()
    _ = try folder.file("bad", Array("\(Self.sha256)\n".utf8))
    let records = try evaluate(
      capture(segmentSize: 41), folder,
      rules: "drop http any any -> any any (filesha256:bad; sid:1;)\n", isInline: true)
    let drop = try #require(lines(records, "drop").first)
    // Handshake, request and its acknowledgement, first segment and its acknowledgement; then the last.
    #expect(drop["pcap_cnt"] as? Int == 8)
    #expect((lines(records, "alert").first?["alert"] as? [String: Any])?["action"] as? String == "blocked")
  }

  private static let store = [
    "outputs.0.file-store.enabled=yes", "outputs.0.file-store.write-fileinfo=yes",
    "outputs.1.eve-log.enabled=yes", "outputs.1.eve-log.types.0=files", "outputs.1.eve-log.types.1=alert",
  ]

  @Test func `what a rule asks for is stored by its digest with its record beside it`() throws {
    let folder = try TemporaryFolder()
    let records = try evaluate(
      capture(segmentSize: 40), folder,
      rules: "alert http any any -> any any (fileext:pdf; filestore; sid:7;)\n", settings: Self.store)
    let info = try #require(lines(records, "fileinfo").first?["fileinfo"] as? [String: Any])
    #expect(info["stored"] as? Bool == true)
    #expect(info["file_id"] as? Int == 1)
    #expect(info["sid"] as? [Int] == [7])
    let directory = folder.path + "/filestore/2c/"
    #expect(TextFile.read(directory + Self.sha256).map { String(decoding: $0, as: UTF8.self) } == "hello")
    let names = try FileManager.default.contentsOfDirectory(atPath: directory)
    let beside = try #require(names.first { $0.hasSuffix(".1.json") })
    let record = String(decoding: TextFile.read(directory + beside) ?? [], as: UTF8.self)
    #expect(lines(record, "fileinfo").count == 1)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/filestore/tmp").isEmpty)
    let file = (lines(records, "alert").first?["files"] as? [[String: Any]])?.first
    #expect(file?["storing"] as? Bool == true)
  }

  @Test(arguments: [
    ("alert http any any -> any any (fileext:exe; filestore; sid:1;)", false),
    ("alert http any any -> any any (flow:to_client; filestore:request,file; sid:1;)", false),
    ("alert http any any -> any any (flow:to_client; filestore:to_client; sid:1;)", true),
    ("alert http any any -> any any (flow:to_client; filestore:both,tx; sid:1;)", true),
    ("alert http any any -> any any (http.stat_code; content:\"200\"; filestore:response,flow; noalert; sid:1;)", true),
  ])
  func `the direction and scope of filestore say what is stored`(rule: String, isStored: Bool) throws {
    let folder = try TemporaryFolder()
    let records = try evaluate(capture(), folder, rules: rule + "\n", settings: Self.store)
    let info = try #require(lines(records, "fileinfo").first?["fileinfo"] as? [String: Any])
    #expect(info["stored"] as? Bool == isStored)
    #expect((TextFile.read(folder.path + "/filestore/2c/" + Self.sha256) != nil) == isStored)
  }

  @Test func `without a store filestore only matches`() throws {
    let folder = try TemporaryFolder()
    let records = try evaluate(
      capture(), folder, rules: "alert http any any -> any any (filestore; sid:1;)\n")
    #expect(sids(records) == [1])
    #expect(TextFile.read(folder.path + "/filestore/2c/" + Self.sha256) == nil)
  }

  @Test func `everything is stored where that is set, up to the depth`() throws {
    let folder = try TemporaryFolder()
    let records = try evaluate(
      capture(), folder, rules: "alert http any any -> any any (http.method; content:\"NONE\"; sid:1;)\n",
      settings: Self.store + ["outputs.0.file-store.force-filestore=yes", "outputs.0.file-store.stream-depth=3"])
    let info = try #require(lines(records, "fileinfo").first?["fileinfo"] as? [String: Any])
    #expect(info["state"] as? String == "TRUNCATED")
    #expect(info["size"] as? Int == 3)
    #expect(info["stored"] as? Bool == true)
  }

  @Test func `the parts of a form are files of their own`() throws {
    let body = """
      --b\r\nContent-Disposition: form-data; name="a"; filename="one.txt"\r\n\r\nhello\r\n\
      --b\r\nContent-Disposition: form-data; name="c"; filename="two.bin"\r\n\r\nworld!\r\n--b--\r\n
      """
    let request =
      "POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    let records = try evaluate(
      capture("HTTP/1.1 204 No Content\r\n\r\n", request: request), try TemporaryFolder(),
      rules: """
        alert http any any -> any any (filename:"one.txt"; filesize:5; sid:1;)
        alert http any any -> any any (filesize:6; fileext:"bin"; sid:2;)
        alert http any any -> any any (filesize:7; sid:3;)

        """, settings: ["outputs.0.eve-log.types.0.files.force-hash.0=sha256", "outputs.0.eve-log.types.1=alert"])
    #expect(sids(records) == [1, 2])
    let all = lines(records, "fileinfo").compactMap { $0["fileinfo"] as? [String: Any] }
    #expect(all.map { $0["filename"] as? String } == ["one.txt", "two.bin"])
    #expect(all.first?["sha256"] as? String == Self.sha256)
  }

  @Test(arguments: [
    "filesha256:missing-file", "filemd5:", "filesize:", "filesize:x", "filestore:sideways", "filestore:both,all",
    "filestore:both,file,tx", "filestore; filestore", "fileext:", "filename:", "filemagic:", "filesha256:short",
  ])
  func `rules on files that cannot be meant are refused`(options: String) throws {
    let folder = try TemporaryFolder()
    _ = try folder.file("short", Array("abc\n".utf8))
    let path = try folder.file("t.rules", Array("alert http any any -> any any (\(options); sid:1;)\n".utf8))
    let settings = try Settings.load(file: nil, flowSeed: 1)
    let loaded = try RuleLoader.load(settings, paths: [path], shared: SharedDetectionState())
    #expect(loaded.diagnostics.count { $0.severity == .error } == 1)
  }
}
