use crate::status::{Call, Snapshot};
use std::collections::HashMap;
use std::time::Duration;

/// Most ranks that a message lists.
const LISTED: usize = 4;

/// Ranks that all wait for one another, and one that nobody waits for, have
/// stalled only after this many times the limit: a large message that is under
/// way shows no progress, nor does a long sort.
const UNDER_WAY: u32 = 4;

/// What is known of a rank.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// What it said last.
    pub last: Snapshot,
    /// How long ago that was.
    pub silent: Duration,
    /// How long it has made no progress.
    pub still: Duration,
}

/// A rank that holds up the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// Which.
    pub rank: usize,
    /// What is wrong with it, and who waits for it, in which call.
    pub what: String,
}

impl Heard {
    fn waits_in_vain(&self, limit: Duration) -> Option<Call> {
        // The system's clock went on while the job was stopped as a whole; the one of `still` did not.
        let waited = (self.last.waited() + self.silent).min(self.still);
        let long = waited >= limit && !self.last.is_patient();
        self.last.call().filter(|_| long)
    }
}

/// The rank that has stalled, if one has by `limit`: it says nothing at all;
/// or it makes no progress though it waits for nobody, while others of its task
/// wait, or for much longer; or all ranks of a task wait for one another for much longer, as
/// after a lost message.
/// Ranks that have said goodbye, and waits that are rightly long, do not count.
pub fn stalled(ranks: &[Heard], limit: Duration) -> Option<Stall> {
    let at = |wanted: &dyn Fn(usize, &Heard) -> bool| {
        let present = |heard: &Heard| !heard.last.has_left();
        ranks.iter().enumerate().position(|(rank, heard)| present(heard) && wanted(rank, heard))
    };
    let seconds = |time: Duration| format!("{:.0} s", time.as_secs_f64());
    if let Some(rank) = at(&|_, heard| heard.silent >= limit) {
        let mut what = format!(
            "no sign of life for {}: stopped, out of reach, or its host swaps",
            seconds(ranks[rank].silent)
        );
        let waiting = waiting(ranks, rank, Duration::ZERO);
        if !waiting.is_empty() {
            what += &format!("; {waiting}");
        }
        return Some(Stall { rank, what });
    }
    let idle =
        |heard: &Heard| heard.last.call().is_none() && !heard.last.is_patient() && heard.still >= limit;
    if let Some(rank) = at(&|rank, heard| idle(heard) && !waiting(ranks, rank, limit).is_empty()) {
        // Of those that wait some may have begun a little later.
        let what = format!(
            "has made no progress for {}; {}",
            seconds(ranks[rank].still),
            waiting(ranks, rank, limit / 2)
        );
        return Some(Stall { rank, what });
    }
    // Nobody waits for a rank that has its task for itself, but the end of the study.
    let hung = |heard: &Heard| idle(heard) && heard.still >= UNDER_WAY * limit;
    if let Some(rank) = at(&|_, heard| hung(heard) && !heard.last.task().is_empty()) {
        let what = format!("has made no progress for {}, and waits for nobody", seconds(ranks[rank].still));
        return Some(Stall { rank, what });
    }
    // What is old may be of another task.
    if at(&|_, heard| heard.silent >= limit / 2).is_some() {
        return None;
    }
    let mut tasks: HashMap<String, (usize, bool)> = HashMap::new();
    for heard in ranks {
        let (ranks, all) = tasks.entry(heard.last.task()).or_insert((0, true));
        *ranks += 1;
        *all &= heard.waits_in_vain(UNDER_WAY * limit).is_some();
    }
    let rank = at(&|_, heard| matches!(tasks.get(&heard.last.task()), Some((2.., true))))?;
    let what = format!(
        "waits in {}, as do all of its task, each for another; {}",
        ranks[rank].last.call().map_or_else(String::new, |call| call.to_string()),
        waiting(ranks, rank, limit)
    );
    Some(Stall { rank, what })
}

/// Says who of the task of `rank` has waited for as long as `limit`, and in which call.
fn waiting(ranks: &[Heard], rank: usize, limit: Duration) -> String {
    let task = ranks[rank].last.task();
    let mut calls: Vec<(Call, Vec<usize>)> = Vec::new();
    for (other, heard) in ranks.iter().enumerate().filter(|(other, _)| *other != rank) {
        let Some(call) = heard.waits_in_vain(limit) else { continue };
        if heard.last.task() != task {
            continue;
        }
        match calls.iter_mut().find(|(known, _)| *known == call) {
            Some((_, waiting)) => waiting.push(other),
            None => calls.push((call, vec![other])),
        }
    }
    let phrase = |(call, ranks): &(Call, Vec<usize>)| {
        let verb = if ranks.len() == 1 { "waits" } else { "wait" };
        format!("{} {verb} in {call}", list(ranks))
    };
    calls.iter().map(phrase).collect::<Vec<_>>().join(", ")
}

fn list(ranks: &[usize]) -> String {
    let named: Vec<String> = ranks.iter().take(LISTED).map(usize::to_string).collect();
    let more = ranks.len().saturating_sub(LISTED);
    match (ranks, more) {
        ([one], _) => format!("rank {one}"),
        (_, 0) => format!("ranks {} and {}", named[..named.len() - 1].join(", "), named[named.len() - 1]),
        _ => format!("ranks {} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn heard(task: &str, call: Option<Call>, silent: u64, still: u64) -> Heard {
        let waited = if call.is_some() { still } else { 0 };
        Heard {
            last: Snapshot::made_up(task, 7, call, Duration::from_secs(waited)),
            silent: Duration::from_secs(silent),
            still: Duration::from_secs(still),
        }
    }

    fn sum(still: u64) -> Heard {
        heard("A", Some(Call::Sum), 0, still)
    }

    #[test]
    fn a_rank_that_others_wait_for_is_named_and_one_that_works_is_not() {
        let work = |still| heard("A", None, 0, still);
        assert_eq!(stalled(&[sum(12), work(3), sum(12)], LIMIT), None, "it works");
        assert_eq!(stalled(&[sum(9), work(12), sum(9)], LIMIT), None, "none waits for long");
        assert_eq!(stalled(&[work(39), work(39)], LIMIT), None, "none waits");
        let stall = stalled(&[work(3), work(41)], LIMIT).unwrap();
        assert_eq!(stall.what, "has made no progress for 41 s, and waits for nobody");
        assert_eq!((stall.rank, stalled(&[heard("", None, 0, 41)], LIMIT)), (1, None));
        let stall = stalled(&[sum(12), work(12), sum(12)], LIMIT).unwrap();
        assert_eq!(stall.rank, 1);
        assert_eq!(stall.what, "has made no progress for 12 s; ranks 0 and 2 wait in the sum over ranks");
    }

    #[test]
    fn waits_of_other_tasks_and_patient_ones_count_for_nothing() {
        let other = heard("B", Some(Call::AllGather), 0, 50);
        let still = heard("A", None, 0, 39);
        let work = heard("B", None, 0, 0);
        assert_eq!(stalled(&[still, other, work], LIMIT), None);
        let patient = Heard { last: sum(50).last.patient(), ..sum(50) };
        assert_eq!(stalled(&[still, patient], LIMIT), None);
        let resting = Heard { last: still.last.patient(), ..still };
        assert_eq!(stalled(&[resting, sum(50), heard("A", None, 0, 0)], LIMIT), None);
        assert_eq!(stalled(&[still, sum(50)], LIMIT).unwrap().rank, 0);
    }

    #[test]
    fn silence_is_named_unless_it_was_a_goodbye() {
        let silent = heard("A", Some(Call::Sum), 11, 11);
        let stall = stalled(&[sum(1), silent, sum(1)], LIMIT).unwrap();
        assert_eq!(stall.rank, 1);
        assert!(stall.what.starts_with("no sign of life for 11 s"), "{}", stall.what);
        assert!(stall.what.ends_with("ranks 0 and 2 wait in the sum over ranks"), "{}", stall.what);
        let gone = Heard { last: silent.last.gone(), ..silent };
        assert_eq!(stalled(&[sum(1), gone, sum(1)], LIMIT), None);
    }

    #[test]
    fn ranks_that_all_wait_are_a_lost_message() {
        let gather = heard("A", Some(Call::Receive), 0, 41);
        assert_eq!(stalled(&[sum(39), gather], LIMIT), None, "messages may be under way");
        let stall = stalled(&[sum(41), gather, heard("B", None, 0, 0)], LIMIT).unwrap();
        assert_eq!(stall.rank, 0);
        assert!(stall.what.contains("waits in the sum over ranks, as do all"), "{}", stall.what);
        assert!(stall.what.ends_with("rank 1 waits in a receive"), "{}", stall.what);
        assert_eq!(stalled(&[sum(41), heard("A", Some(Call::Receive), 0, 9)], LIMIT), None);
        assert_eq!(stalled(&[sum(41), heard("B", Some(Call::Receive), 0, 50)], LIMIT), None);
        let old = heard("B", None, 6, 6);
        assert_eq!(stalled(&[sum(41), gather, old], LIMIT), None);
    }

    #[test]
    fn many_ranks_are_counted() {
        assert_eq!(list(&[3]), "rank 3");
        assert_eq!(list(&[0, 2, 3]), "ranks 0, 2 and 3");
        assert_eq!(list(&(0..9).collect::<Vec<_>>()), "ranks 0, 1, 2, 3 and 5 more");
    }
}
