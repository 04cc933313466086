import Traffic

/// How far one direction of an SSH connection has been read.
public enum SSHProgress {
  /// The version line is there.
  public static let banner = 1
  /// The offer of algorithms is there.
  public static let offer = 2
  /// Keys are taken into use: the rest is encrypted.
  public static let complete = 3
}

/// What one side of an SSH connection says of itself.
public struct SSHSide: Sendable {
  /// "2.0" of `SSH-2.0-OpenSSH_9.2 Debian` (EVE `proto_version`).
  public internal(set) var version: [UInt8]?
  /// "OpenSSH_9.2" (EVE `software_version`).
  public internal(set) var software: [UInt8]?
  /// What the HASSH fingerprint is made of.
  public internal(set) var offer: [UInt8]?
  /// MD5 of it in hex.
  public internal(set) var fingerprint: [UInt8]?
}

/// The open part of an SSH connection, from the version lines to the first new keys.
public final class SSHTransaction: Transaction {
  public internal(set) var client = SSHSide()
  public internal(set) var server = SSHSide()

  init(start: Timestamp) {
    super.init(id: 0, appProtocol: .ssh, progressComplete: SSHProgress.complete, start: start)
  }

  public func side(_ direction: Direction) -> SSHSide { direction == .toServer ? client : server }

  func update(_ direction: Direction, to value: Int, _ change: (inout SSHSide) -> Void) {
    if direction == .toServer {
      change(&client)
      progress.toServer = max(progress.toServer, value)
    } else {
      change(&server)
      progress.toClient = max(progress.toClient, value)
    }
  }

  func raise(_ event: SSHEvent) { raise(event.appEvent) }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard index == 0 else { return nil }
    let side = side(direction)
    switch id {
    case .sshVersion: return side.version.map { BufferView($0) }
    case .sshSoftware: return side.software.map { BufferView($0) }
    case .hassh: return direction == .toServer ? side.fingerprint.map { BufferView($0) } : nil
    case .hasshString: return direction == .toServer ? side.offer.map { BufferView($0) } : nil
    case .hasshServer: return direction == .toClient ? side.fingerprint.map { BufferView($0) } : nil
    case .hasshServerString: return direction == .toClient ? side.offer.map { BufferView($0) } : nil
    default: return nil
    }
  }
}

/// What can be odd about an SSH connection (`app-layer-event:ssh.…`).
///
/// - Source: Suricata 8's `ssh-events.rules`.
public enum SSHEvent: String, Sendable, CaseIterable {
  case invalidBanner = "invalid_banner"
  case longBanner = "long_banner"
  case invalidRecord = "invalid_record"
  case longKeyExchange = "long_kex_record"

  public var appEvent: AppEvent { AppEvent(.ssh, rawValue) }
}

extension BufferTable {
  private typealias Source = BufferDeclaration.Source

  private static let banners = [
    Source(.ssh, .toServer, progress: SSHProgress.banner), Source(.ssh, .toClient, progress: SSHProgress.banner),
  ]
  private static let clientOffer = [Source(.ssh, .toServer, progress: SSHProgress.offer)]
  private static let serverOffer = [Source(.ssh, .toClient, progress: SSHProgress.offer)]

  /// - Source: Suricata 8, "SSH Keywords".
  static let ssh: [BufferDeclaration] = [
    .init(.sshVersion, ["ssh.proto", "ssh_proto"], banners, summary: "Version of the SSH protocol."),
    .init(.sshSoftware, ["ssh.software", "ssh_software"], banners, summary: "Name and version of the SSH software."),
    .init(.hassh, ["ssh.hassh"], clientOffer, summary: "HASSH fingerprint of the client, MD5 in hex."),
    .init(.hasshString, ["ssh.hassh.string"], clientOffer, summary: "What the client's HASSH is made of."),
    .init(.hasshServer, ["ssh.hassh.server"], serverOffer, summary: "HASSH fingerprint of the server, MD5 in hex."),
    .init(.hasshServerString, ["ssh.hassh.server.string"], serverOffer, summary: "What the server's HASSH is made of."),
  ]
}
