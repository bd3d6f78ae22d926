use super::{Cli, say::say};
use crate::atomic::write_file;
use crate::report::phrase::count;
use crate::{Error, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::path::PathBuf;

/// Write the manual pages, one a command, into a folder
///
/// Read them by man DIR/crossrx.1, or by man crossrx-transfer with the folder's parent on MANPATH, where the
/// folder is called man1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write crossrx.1, crossrx-transfer.1, ...
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes the pages.
pub fn run(args: Args) -> Result<()> {
    let pages = pages().map_err(|e| Error::io(&args.folder, "cannot make manual pages", e))?;
    for (name, page) in &pages {
        write_file(&args.folder.join(name), |out| out.write_all(page))?;
    }
    say(format_args!("{} in {}\n", count(pages.len(), "manual page"), args.folder.display()))
}

/// The name and content of each command's page, in roff's `man` macros.
fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    add(&cli, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    // Without a date the arguments of the title would be one too few.
    let man = Man::new(command.clone()).date(date()).manual("crossrx manual");
    let man = man.source(concat!("crossrx ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)?;
    if command.get_name() == "crossrx" {
        page.extend_from_slice(STATUS.as_bytes());
    }
    pages.push((man.get_filename(), page));
    command.get_subcommands().filter(|inner| !inner.is_hide_set()).try_for_each(|inner| add(inner, pages))
}

/// The day of the pages: today, or that of a build that is to come out the same whenever it is made
/// (reproducible-builds.org).
fn date() -> String {
    let wished = std::env::var("SOURCE_DATE_EPOCH").ok();
    let wished = wished.and_then(|seconds| jiff::Timestamp::from_second(seconds.parse().ok()?).ok());
    wished.unwrap_or_else(jiff::Timestamp::now).strftime("%Y-%m-%d").to_string()
}

/// What clap does not know of the program.
const STATUS: &str = r#".SH "EXIT STATUS"
.TP
0
All is done.
.TP
75
The run was told to stop, by a signal or \-\-max\-hours, and goes on when the same command is started again.
.TP
101
A fault of crossrx: please report it.
.PP
Any other number is a failure, which the last line of the log tells.
.SH ENVIRONMENT
.TP
RUST_LOG
How much is logged: error, warn, info (as it is), debug.
.TP
CROSSRX_CACHE
The folder in which compiled GPU kernels are kept.
.TP
CROSSRX_DRILL
Has a rank fail on purpose, to see that a job script copes.
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_of_its_options() {
        let pages = pages().unwrap();
        let page = |name: &str| {
            let found = pages.iter().find(|(page, _)| page == name);
            String::from_utf8(found.unwrap_or_else(|| panic!("no {name}")).1.clone()).unwrap()
        };
        let main = page("crossrx.1");
        assert!(
            main.contains(concat!("\"crossrx ", env!("CARGO_PKG_VERSION"), "\" \"crossrx manual\"")),
            "{main}"
        );
        assert!(main.contains("EXIT STATUS") && main.contains("\n75\n"), "{main}");
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(main.contains(&format!("crossrx\\-{name}(1)")), "{name} in {main}");
            let own = page(&format!("crossrx-{name}.1"));
            for option in command.get_arguments().filter_map(|arg| arg.get_long()) {
                assert!(own.contains(&option.replace('-', "\\-")), "--{option} in {own}");
            }
        }
    }
}
