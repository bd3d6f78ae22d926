//! Processes below this one, also those whose parents have left them.

use crate::poll::wait_for;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// From here on what loses its parent below this process becomes its child, as daemons and what they
/// start do, and so can be found.
pub fn adopt() {
    set_child_subreaper(Some(getpid())).unwrap();
}

/// The numbers of all processes.
fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// All processes below this one.
fn descendants() -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in all() {
        let Ok(line) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name of the program stands in brackets, and may hold anything.
        let parent = line.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let (mut found, mut next) = (Vec::new(), vec![getpid().as_raw_nonzero().get()]);
    while let Some(parent) = next.pop() {
        let of = children.remove(&parent).unwrap_or_default();
        found.extend(&of);
        next.extend(of);
    }
    found
}

/// Ends all processes below this one, and waits until none is left. Says which ones stayed, if any.
pub fn end_all() -> Result<(), String> {
    let last = Instant::now() + Duration::from_secs(30);
    loop {
        let left = descendants();
        if left.is_empty() {
            return Ok(());
        }
        for pid in left.iter().filter_map(|&pid| Pid::from_raw(pid)) {
            let _ = kill_process(pid, Signal::KILL);
            // Only a child has anything to collect, and only once.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        if Instant::now() > last {
            return Err(left.iter().map(|&pid| command_of(pid)).collect::<Vec<_>>().join("; "));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn command_of(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid} {}", String::from_utf8_lossy(&bytes).replace('\0', " "))
}

/// Processes whose command, environment or open files name the path: all that a cluster in this folder
/// has started, wherever they hang and whatever they call themselves.
pub fn that_name(folder: &Path) -> Vec<String> {
    let path = folder.to_str().unwrap().as_bytes();
    let own = getpid().as_raw_nonzero().get();
    let has = |bytes: &[u8]| bytes.windows(path.len()).any(|part| part == path);
    let names = |pid: &i32| {
        let mut texts = ["cmdline", "environ"].iter().map(|file| fs::read(format!("/proc/{pid}/{file}")));
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut files = files.filter_map(|entry| fs::read_link(entry.path()).ok());
        texts.any(|text| has(&text.unwrap_or_default())) || files.any(|file| has(file.as_os_str().as_bytes()))
    };
    all().filter(|&pid| pid != own).filter(names).map(command_of).collect()
}

/// Asserts that no process of a cluster in this folder is there, nor the folder.
pub fn assert_gone(folder: &Path) {
    wait_for(&format!("all of {} to be gone", folder.display()), Duration::from_secs(30), || {
        (that_name(folder).is_empty() && !folder.exists()).then_some(())
    });
}
