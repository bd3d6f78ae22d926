//! What `make install` puts where, from the program under test.

use crate::program::{CROSSRX, arg, fresh};
use crate::tree::files;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a command in the repository and gives what it says; `None` where there is no such program.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    // Variables of a `make` that started this test would change what it calls.
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
        command.env_remove(name);
    }
    let Ok(out) = command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output() else {
        let _ = writeln!(std::io::stderr(), "skipped: a look by {program}, which is not installed");
        return None;
    };
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{program} {args:?}: {text}");
    Some(text)
}

/// `make GOAL` with a prefix below a folder of packages.
fn make(goal: &str, folder: &Path) {
    let (program, destination) = (format!("PROGRAM={CROSSRX}"), format!("DESTDIR={}", folder.display()));
    said("make", &[goal, &program, "PREFIX=/opt/cross rx", &destination]);
}

#[test]
fn what_is_installed_works_and_goes_again() {
    let folder = fresh("install with spaces");
    make("install", &folder);
    let prefix = folder.join("opt/cross rx");
    let names: Vec<PathBuf> = files(&prefix);
    let version = env!("CARGO_PKG_VERSION");
    for name in [
        "bin/crossrx",
        "share/bash-completion/completions/crossrx",
        "share/zsh/site-functions/_crossrx",
        "share/fish/vendor_completions.d/crossrx.fish",
        "share/man/man1/crossrx.1",
        "share/man/man1/crossrx-transfer.1",
        "share/crossrx/configs/demo.toml",
        "share/licenses/crossrx/LICENSE-MIT",
        "share/licenses/crossrx/LICENSE-APACHE",
        &format!("share/modulefiles/crossrx/{version}"),
        &format!("share/modulefiles/crossrx/{version}.lua"),
    ] {
        assert!(names.contains(&name.into()), "{name} is not in {names:?}");
    }
    let bin = prefix.join("bin/crossrx");
    assert_eq!(said(arg(&bin), &["--version"]).unwrap(), format!("crossrx {version}\n"));
    completes(&prefix);
    renders(&prefix);
    loads(&prefix);
    make("uninstall", &folder);
    assert_eq!(files(&prefix), Vec::<PathBuf>::new());
}

/// Shells complete commands and options from the scripts.
fn completes(prefix: &Path) {
    let script = prefix.join("share/bash-completion/completions/crossrx");
    let ask = r#"
set -eu
source "$1"
ask() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _crossrx crossrx "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[*]}"
}
complete -p crossrx
ask crossrx tr
ask crossrx transfer --max
"#;
    let answer = said("bash", &["--norc", "-c", ask, "bash", arg(&script)]).unwrap();
    let lines: Vec<&str> = answer.lines().collect();
    assert!(lines[0].contains("-F _crossrx"), "{answer}");
    assert_eq!(lines[1..3], ["train transfer", "--max-hours"], "{answer}");
    said("zsh", &["-n", arg(&prefix.join("share/zsh/site-functions/_crossrx"))]);
    let ask = "source $argv[1]; complete -C 'crossrx tr'";
    let fish = prefix.join("share/fish/vendor_completions.d/crossrx.fish");
    if let Some(answer) = said("fish", &["--no-config", "-c", ask, arg(&fish)]) {
        let words: Vec<&str> = answer.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(words, ["train", "transfer"], "{answer}");
    }
}

/// Every page has its sections; `groff` has no complaint about it, and `mandoc` finds no error.
fn renders(prefix: &Path) {
    let pages = prefix.join("share/man/man1");
    let names = files(&pages);
    assert!(names.len() > 10, "{names:?}");
    for page in names.iter().map(|name| pages.join(name)) {
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains(".SH SYNOPSIS") && text.contains(".SH OPTIONS"), "{}", page.display());
        if let Some(said) = said("groff", &["-man", "-ww", "-Tutf8", "-z", arg(&page)]) {
            assert_eq!(said, "", "{}", page.display());
        }
        // Its warnings are about the generator's style.
        said("mandoc", &["-T", "lint", "-W", "error", arg(&page)]);
    }
}

/// The module files are Tcl and Lua that set what they say; loaded for real where there are modules.
fn loads(prefix: &Path) {
    let modules = prefix.join("share/modulefiles");
    let ask = format!(
        r#"if [ -e /usr/share/modules/init/bash ]; then . /usr/share/modules/init/bash
elif [ -e /usr/share/lmod/lmod/init/bash ]; then . /usr/share/lmod/lmod/init/bash
else exit 0; fi
module use "$1" && module load crossrx/{} && command -v crossrx && echo "$CROSSRX_ROOT" && echo "$MANPATH""#,
        env!("CARGO_PKG_VERSION")
    );
    let answer = said("bash", &["--norc", "-c", &ask, "bash", arg(&modules)]).unwrap();
    if answer.is_empty() {
        let _ = writeln!(std::io::stderr(), "skipped: a module load, for there is no module command");
        return;
    }
    let (bin, man) = (prefix.join("bin/crossrx"), prefix.join("share/man"));
    let lines: Vec<&str> = answer.lines().collect();
    assert_eq!(lines[..2], [arg(&bin), arg(prefix)], "{answer}");
    assert!(lines[2].starts_with(arg(&man)) && lines[2].ends_with(':'), "{answer}");
}
