import ArgumentParser
import Engine
import Glibc
import Interception
import Traffic

struct CACommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ca", abstract: "The authority that signs the certificates shown to clients.",
    subcommands: [Init.self, Show.self, Export.self])

  /// Where the authority lies.
  struct Place: ParsableArguments {
    @Option(
      name: .long, help: ArgumentHelp("Configuration file.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
    var config: String?

    @Option(name: .customLong("set"), help: ArgumentHelp("A setting over the configuration: KEY=VALUE.", valueName: "key=value"))
    var settings: [String] = []

    func load() throws -> TLSStageSettings {
      do throws(SettingsError) {
        return try Settings.load(file: config, overrides: settings, flowSeed: 0).interception
      } catch {
        throw CommandFailure.input(error.message)
      }
    }

    func authority() throws -> CertificateAuthority {
      let stage = try load()
      do throws(AuthorityError) {
        return try CertificateAuthority.load(keyPath: stage.caKey, certificatePath: stage.caCertificate)
      } catch {
        throw CommandFailure.environment(error.description)
      }
    }
  }

  struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "init", abstract: "Make the authority of this installation; never overwrites one.")

    @OptionGroup var place: Place

    @Option(name: .long, help: "Common name; by default one that no other installation has.")
    var name: String?

    func run() throws {
      let stage = try place.load()
      do throws(AuthorityError) {
        let authority = try CertificateAuthority.make(
          keyPath: stage.caKey, certificatePath: stage.caCertificate,
          commonName: name ?? CertificateAuthority.defaultCommonName(), owner: stage.authorityOwner,
          now: Timestamp(seconds: Int64(time(nil))))
        StandardOutput.write(authority.summary.text)
      } catch {
        throw CommandFailure.environment(error.description)
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Subject, fingerprint and validity.")

    @OptionGroup var place: Place

    func run() throws { StandardOutput.write(try place.authority().summary.text) }
  }

  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "export", abstract: "The certificate for clients to trust; never the key.")

    enum Form: String, ExpressibleByArgument, CaseIterable { case pem, der }

    @OptionGroup var place: Place

    @Option(name: .long, help: "pem or der.")
    var form = Form.pem

    func run() throws {
      let authority = try place.authority()
      StandardOutput.write(form == .pem ? authority.certificatePEM() : authority.certificateDER())
    }
  }
}

extension CertificateAuthority.Summary {
  fileprivate var text: String {
    """
    subject      \(subject)
    SHA-256      \(fingerprintText)
    valid from   \(notBefore.day)
    valid until  \(notAfter.day)

    """
  }
}

extension Timestamp {
  /// 2026-11-21, UTC.
  fileprivate var day: String {
    // Civil date from days since 1970 (Hinnant's algorithm for the proleptic Gregorian calendar).
    let days = Int(seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400) + 719_468
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(year)-\(two(month))-\(two(dayOfYear - (153 * shifted + 2) / 5 + 1))"
  }
}
