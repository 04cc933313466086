import Engine

enum ConfigurationTarget {
  static func run(_ bytes: [UInt8]) {
    do throws(SettingsError) {
      let settings = try Settings.read(String(decoding: bytes, as: UTF8.self), name: "f.yaml", flowSeed: 1)
      precondition(settings.capture.queueCount > 0)
    } catch {
      precondition(!error.message.isEmpty)
    }
  }

  private static let texts = [
    "%YAML 1.1\n---\nvars:\n  address-groups:\n    HOME_NET: \"[192.168.0.0/16,10.0.0.0/8]\"\n    EXTERNAL_NET: \"!$HOME_NET\"\n  port-groups:\n    HTTP_PORTS: \"80\"\nrule-files:\n  - a.rules\n",
    "capture: {mode: router, queues: 2, fail-open: yes}\ncontrol:\n  socket: /tmp/x\n",
    "policy:\n  - action: tunnel\n    sni: [\"*.example.com\", a.example]\n  - action: block\n    clients: 10.0.0.0/8\n    ports: \"[443,8443]\"\n",
    "interception:\n  enabled: yes\n  ports: [443]\n  listen-port: 8443\n  bad-certificate: block\n  idle-timeout: 60\n",
    "outputs:\n  - eve-log:\n      enabled: yes\n      filename: eve.json\n      types:\n        - alert: {payload: yes}\n        - http\n        - stats\nstream:\n  reassembly:\n    depth: 1mb\n    toserver-chunk-size: 2560\n  midstream: yes\nhost-os-policy:\n  windows: [0.0.0.0/0]\n",
    "app-layer:\n  protocols:\n    http:\n      libhtp:\n        default-config: {personality: IDS, request-body-limit: 100kb}\n    tls: {enabled: yes, ja3-fingerprints: yes}\nflow-timeouts:\n  tcp: {new: 60, established: 600}\ndefrag: {max-frags: 1000}\nexception-policy: auto\n",
  ]

  static var seeds: [(name: String, bytes: [UInt8])] {
    texts.enumerated().map { ("settings-\($0.offset)", Array($0.element.utf8)) }
  }
}
