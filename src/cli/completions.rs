use super::{Cli, say::say};
use crate::Result;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// Print a shell's completion script
///
/// For this session: source <(crossrx completions bash). `make install` puts the scripts where bash, zsh
/// and fish look for them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(args: Args) -> Result<()> {
    say(script(args.shell))
}

/// The script by which `shell` completes this program's commands and options.
fn script(shell: Shell) -> String {
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), "crossrx", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    /// Names of hidden commands and options, of all commands.
    fn hidden(command: &Command, into: &mut Vec<String>) {
        let options = command.get_arguments().filter(|arg| arg.is_hide_set());
        into.extend(options.filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")));
        for inner in command.get_subcommands() {
            if inner.is_hide_set() {
                into.push(inner.get_name().into());
            }
            hidden(inner, into);
        }
    }

    #[test]
    fn every_command_and_nothing_hidden_is_completed() {
        let cli = Cli::command();
        let mut secrets = Vec::new();
        hidden(&cli, &mut secrets);
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
                assert!(script.contains(command.get_name()), "{shell}: no {}", command.get_name());
            }
            for secret in &secrets {
                let leak =
                    script.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == secret);
                assert!(!leak, "{shell}: {secret}");
            }
        }
    }
}
