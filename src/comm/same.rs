use super::{Communicator, agree};
use crate::status::host;
use crate::{Error, Result};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Most characters of a value in a message.
const SHOWN: usize = 160;

/// Checks that every rank of `world` gives the same `value` for `what`. Where
/// they differ, rank 0 tells of the first rank that differs from it, its host
/// and both values (of long ones, the first line that differs), and every rank
/// gets an error.
pub fn same(world: &dyn Communicator, what: &str, value: &str) -> Result<()> {
    let mut first = value.as_bytes().to_vec();
    world.broadcast(0, &mut first);
    let differs = world.all_gather(&[u8::from(first != value.as_bytes())]);
    let Some(stray) = differs.iter().position(|flag| flag[0] != 0) else { return Ok(()) };
    let mut theirs = value.as_bytes().to_vec();
    let mut host_of_theirs = host().into_bytes();
    world.broadcast(stray, &mut theirs);
    world.broadcast(stray, &mut host_of_theirs);
    if world.rank() == 0 {
        let (theirs, their_host) =
            (String::from_utf8_lossy(&theirs), String::from_utf8_lossy(&host_of_theirs));
        let (own, other) = first_difference(value, &theirs);
        let error = Error::Ranks(format!(
            "{what} is not the same on all of them: {own} on rank 0 ({}), {other} on rank {stray} ({their_host})",
            host()
        ));
        log::error!("{error}");
    }
    world.barrier();
    Err(Error::Told)
}

/// Checks that every rank of `world` reads a file of the same content, and
/// returns its digest. Ranks of a node for which it is one file, not a copy each, leave it to the first.
pub fn same_file(
    world: &dyn Communicator,
    what: &str,
    file: Result<Metadata>,
    digest: impl FnOnce(&Metadata) -> Result<String>,
) -> Result<String> {
    let node = world.node();
    let file = agree(world, file)?;
    let files = node.all_gather(bytemuck::cast_slice(&[file.dev(), file.ino()]));
    let first = files.iter().position(|other| *other == files[node.rank()]).unwrap_or(node.rank());
    let own = if first == node.rank() { digest(&file) } else { Ok(String::new()) };
    let mut digests = node.all_gather(agree(world, own)?.as_bytes());
    let digest = String::from_utf8_lossy(&digests.swap_remove(first)).into_owned();
    same(world, what, &digest)?;
    Ok(digest)
}

/// The first line in which two texts differ, of each.
fn first_difference(one: &str, other: &str) -> (String, String) {
    let (mut a, mut b) = (one.lines(), other.lines());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return (shown(Some(one)), shown(Some(other))),
            (a, b) if a != b => return (shown(a), shown(b)),
            _ => {}
        }
    }
}

fn shown(line: Option<&str>) -> String {
    let Some(line) = line else { return "nothing more".into() };
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}...`", &line[..end]),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Serial;
    use crate::comm::threads::on_ranks;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn ranks_that_agree_pass_and_a_stray_one_stops_all() {
        assert!(same(&Serial, "the deck", "x = 1").is_ok());
        for stray in [None, Some(0), Some(2)] {
            let results = on_ranks(3, |world| {
                let value = if Some(world.rank()) == stray { "0.2" } else { "0.1" };
                same(world, "the version", value).is_err()
            });
            assert_eq!(results, [stray.is_some(); 3]);
        }
    }

    #[test]
    fn one_file_is_read_by_one_rank_and_copies_by_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, text) in [("a", "x"), ("copy", "x"), ("other", "y")] {
            std::fs::write(path(name), text).unwrap();
        }
        for (names, reads) in [(["a", "a", "a"], 1), (["a", "copy", "a"], 2), (["a", "a", "other"], 2)] {
            let read = AtomicUsize::new(0);
            let digests = on_ranks(3, |world| {
                let path = path(names[world.rank()]);
                let file = std::fs::metadata(&path).map_err(|e| Error::io(&path, "cannot look at", e));
                same_file(world, "the file", file, |_| {
                    read.fetch_add(1, Ordering::Relaxed);
                    Ok(std::fs::read_to_string(&path).unwrap())
                })
            });
            assert_eq!(read.into_inner(), reads);
            let same = names[2] != "other";
            assert!(digests.iter().all(|digest| digest.is_ok() == same), "{names:?}: {digests:?}");
            assert!(!same || digests.iter().flatten().all(|digest| digest == "x"));
        }
        let absent = on_ranks(2, |world| {
            same_file(world, "the file", Err(Error::Request("gone".into())), |_| Ok(String::new())).is_err()
        });
        assert_eq!(absent, [true; 2]);
    }

    #[test]
    fn the_first_line_that_differs_is_shown() {
        let of = |a, b| first_difference(a, b);
        assert_eq!(of("a\nb\nc", "a\nx\nc"), ("`b`".into(), "`x`".into()));
        assert_eq!(of("a\nb", "a"), ("`b`".into(), "nothing more".into()));
        let long = "y".repeat(500);
        let (a, b) = of("x", &long);
        assert_eq!((a.len(), b.len()), (3, SHOWN + 5));
    }
}
