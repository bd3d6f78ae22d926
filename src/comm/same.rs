use super::Communicator;
use crate::status::host;
use crate::{Error, Result};

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
    fn the_first_line_that_differs_is_shown() {
        let of = |a, b| first_difference(a, b);
        assert_eq!(of("a\nb\nc", "a\nx\nc"), ("`b`".into(), "`x`".into()));
        assert_eq!(of("a\nb", "a"), ("`b`".into(), "nothing more".into()));
        let long = "y".repeat(500);
        let (a, b) = of("x", &long);
        assert_eq!((a.len(), b.len()), (3, SHOWN + 5));
    }
}
