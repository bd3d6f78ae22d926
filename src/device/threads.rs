use crate::{Error, Result};

/// Processors that this process may run on: its affinity mask and its control
/// group's quota, whichever is less.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The processors this process is bound to, by number, ascending; none where
/// the system does not tell.
pub fn affinity() -> Vec<u32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(processors).unwrap_or_default()
}

/// The numbers in a list of the kernel, such as "0-3,8".
fn processors(list: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for run in list.trim().split(',') {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        all.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(all)
}

/// Threads for this rank: the wish if there is one, else its share of the
/// processors, so that the ranks of a node use none twice. `own` are those it is
/// bound to and `node` those of each rank of its node, its own among them; it may
/// use `available` of them, fewer than `own` only under a quota, which the ranks
/// of the node are taken to share. At least one, even where ranks outnumber processors.
pub fn share(wish: Option<usize>, available: usize, own: &[u32], node: &[Vec<u32>]) -> usize {
    let ranks = node.len().max(1);
    let even = available / ranks;
    let bound = |processor: &u32| node.iter().filter(|other| other.contains(processor)).count().max(1);
    // Twelfths and their like add up to whole numbers only nearly.
    let part = own.iter().map(|processor| 1.0 / bound(processor) as f64).sum::<f64>() + 1e-6;
    let fair = if available < own.len() || own.is_empty() { even } else { part as usize };
    wish.unwrap_or(fair).max(1)
}

/// Most threads of one rank; beyond, it is a slip of the keyboard.
const MOST: usize = 4096;

/// Sizes the global pool. Call once, before any parallel work.
pub fn start(threads: usize) -> Result<()> {
    if threads > MOST {
        return Err(Error::Request(format!("{threads} threads a rank: at most {MOST}")));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        // Kernels are called from the main thread; else it would hand each one over and wait.
        .use_current_thread()
        .thread_name(|i| format!("crossrx-{i}"))
        .build_global()
        .map_err(|e| Error::Request(format!("cannot start {threads} threads: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_the_processors_that_they_are_bound_to() {
        let of = |lists: &[&str]| -> Vec<usize> {
            let node: Vec<Vec<u32>> = lists.iter().map(|list| processors(list).unwrap()).collect();
            node.iter().map(|own| share(None, own.len(), own, &node)).collect()
        };
        assert_eq!(of(&["0-7"]), [8]);
        assert_eq!(of(&["0-7", "0-7", "0-7"]), [2, 2, 2]);
        assert_eq!(of(&["0-1"; 4]), [1; 4]);
        assert_eq!(of(&["0", "1"]), [1, 1]);
        assert_eq!(of(&["0-3,8-11", "4-7,12-15"]), [8, 8]);
        assert_eq!(of(&["0-3", "2-5"]), [3, 3]);
        assert_eq!(of(&["0-11"; 12]), [1; 12]);
    }

    #[test]
    fn a_wish_a_quota_and_a_system_that_does_not_tell_are_heeded() {
        let two = [vec![0, 1, 2, 3, 4, 5, 6, 7], vec![0, 1, 2, 3, 4, 5, 6, 7]];
        assert_eq!(share(Some(3), 8, &two[0], &two), 3);
        assert_eq!(share(None, 6, &two[0], &two), 3);
        assert_eq!(share(None, 8, &[], &[vec![], vec![]]), 4);
        assert_eq!(processors("0-1,x"), None);
        assert!(affinity().len() >= available());
    }
}
