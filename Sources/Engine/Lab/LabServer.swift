import Diversion

/// The web server that is attacked: nginx over TLS, with a certificate of an authority of the lab's own.
struct LabServer {
  static let name = "shop.example"
  static let page = "This is the page that the server holds.\n"
  static let uploadPath = "/upload"
  static let testFilePath = "/download.txt"

  /// The EICAR test file, in two parts, lest this program be taken for it.
  private static let testFile =
    #"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-"# + "ANTIVIRUS-TEST-FILE!$H+H*\n"
  static let testFileMark = "-STANDARD-" + "ANTIVIRUS-"

  /// The authority's certificate in the workshop's folder: what Sluice has to trust.
  static let rootCertificate = "root.pem"
  private static let accessLog = "access.log"

  /// Makes keys, certificates, pages and nginx's configuration.
  static func prepare(_ workshop: LabWorkshop) throws(LabError) {
    try workshop.write(rootExtensions, to: "root.cnf")
    try workshop.write(leafExtensions, to: "leaf.cnf")
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    try workshop.need(
      Command(
        "openssl",
        ["req", "-x509", "-days", "2", "-config", workshop.path("root.cnf")] + key
          + ["-keyout", workshop.path("root.key"), "-out", workshop.path(rootCertificate)]))
    try workshop.need(
      Command(
        "openssl",
        ["req", "-config", workshop.path("leaf.cnf")] + key
          + ["-keyout", workshop.path("server.key"), "-out", workshop.path("server.csr")]))
    try workshop.need(
      Command(
        "openssl",
        [
          "x509", "-req", "-days", "2", "-in", workshop.path("server.csr"), "-CA",
          workshop.path(rootCertificate),
          "-CAkey", workshop.path("root.key"), "-CAcreateserial", "-extfile", workshop.path("leaf.cnf"),
          "-extensions", "leaf", "-out", workshop.path("server.pem"),
        ]))
    try workshop.makeFolder("pages")
    try workshop.makeFolder("nginx")
    try workshop.write(page, to: "pages/index.html")
    try workshop.write(testFile, to: "pages" + testFilePath)
    try workshop.write(configuration(workshop), to: "nginx.conf")
  }

  static func start(in network: LabNetwork, _ workshop: LabWorkshop) throws(LabError) -> ChildProcess {
    let nginx = Command("nginx", ["-e", workshop.path("nginx.log"), "-c", workshop.path("nginx.conf")])
    let child = try workshop.start(LabNetwork.inside(network.server, nginx), log: "nginx.out")
    let isListening = try workshop.wait(seconds: 10) { () throws(LabError) in
      if child.poll() != nil { return true }
      return try workshop.run(LabNetwork.inside(network.server, Command("ss", ["-Hltn", "sport = :443"])))
        .output.split(separator: "\n").count >= LabFamily.allCases.count
    }
    guard isListening, child.poll() == nil else {
      let said = (workshop.read("nginx.out") + workshop.read("nginx.log")).split(separator: "\n").last
      child.end()
      throw .environment("nginx did not start: \(said ?? "it said nothing")")
    }
    return child
  }

  /// Requests that reached the server whole and were answered: client's address, its port, and the request line.
  static func requests(_ workshop: LabWorkshop) -> [String] {
    workshop.read(accessLog).split(separator: "\n").filter { $0.hasSuffix(" OK") }.map(String.init)
  }

  /// One process and no other, so that ending it ends the server.
  private static func configuration(_ workshop: LabWorkshop) -> String {
    let listeners = LabFamily.allCases.map { "listen \($0.bracketedServer):443 ssl;" }.joined(separator: " ")
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map { "\($0)_temp_path \(workshop.path("nginx")); " }.joined()
    return """
      daemon off; master_process off; pid \(workshop.path("nginx.pid")); error_log \(workshop.path("nginx.log"));
      events { worker_connections 256; }
      http {
        log_format lab '$remote_addr $remote_port "$request" $request_completion'; access_log \(workshop.path(accessLog)) lab;
        types { text/plain txt; text/html html; }
        \(folders)
        server {
          \(listeners) server_name \(name); root \(workshop.path("pages"));
          ssl_certificate \(workshop.path("server.pem")); ssl_certificate_key \(workshop.path("server.key"));
          # What is handed on has been read to its end before.
          location = \(uploadPath) { proxy_pass http://127.0.0.1:8080; }
        }
        server { listen 127.0.0.1:8080; access_log off; location / { return 204; } }
      }

      """
  }

  private static let rootExtensions = """
    [req]
    prompt = no
    distinguished_name = name
    x509_extensions = root
    [name]
    CN = Lab origin authority
    [root]
    basicConstraints = critical, CA:TRUE
    keyUsage = critical, keyCertSign, cRLSign
    subjectKeyIdentifier = hash

    """

  private static let leafExtensions = """
    [req]
    prompt = no
    distinguished_name = name
    [name]
    CN = \(name)
    [leaf]
    basicConstraints = CA:FALSE
    keyUsage = digitalSignature
    extendedKeyUsage = serverAuth
    subjectAltName = DNS:\(name)
    authorityKeyIdentifier = keyid

    """
}
