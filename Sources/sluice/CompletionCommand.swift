import ArgumentParser

struct CompletionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completion", abstract: "Print what makes a shell complete the commands of sluice.",
    discussion: """
      bash: sluice completion bash > /usr/local/share/bash-completion/completions/sluice
      zsh:  sluice completion zsh > /usr/local/share/zsh/site-functions/_sluice
      fish: sluice completion fish > /usr/local/share/fish/vendor_completions.d/sluice.fish
      """)

  enum Shell: String, ExpressibleByArgument, CaseIterable { case bash, zsh, fish }

  @Argument(help: "bash, zsh or fish.")
  var shell: Shell

  func run() {
    let known: CompletionShell =
      switch shell {
      case .bash: .bash
      case .zsh: .zsh
      case .fish: .fish
      }
    StandardOutput.write(Sluice.completionScript(for: known) + "\n")
  }
}
