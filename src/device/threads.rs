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

/// The processors of the core that this one is of.
fn siblings(processor: u32) -> Vec<u32> {
    let path = format!("/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list");
    let list = std::fs::read_to_string(path).ok().and_then(|list| processors(&list));
    list.unwrap_or_else(|| vec![processor])
}

/// How many cores these processors are of.
pub fn cores(processors: &[u32]) -> usize {
    let first = processors.iter().filter_map(|&processor| siblings(processor).first().copied());
    first.collect::<std::collections::BTreeSet<_>>().len()
}

/// One processor of each core of this host that its jobs may use and none of `used` is on. None where the
/// system does not tell which there are.
pub fn idle_cores(used: &[u32]) -> Vec<u32> {
    let read = |path: String| std::fs::read_to_string(path).ok();
    let online = || read("/sys/devices/system/cpu/online".into()).and_then(|list| processors(&list));
    let group = read("/proc/self/cgroup".into()).unwrap_or_default();
    let all = allotted(&group, |path| read(path.into())).or_else(online).unwrap_or_default();
    // The first of a core that may be used stands for it.
    let first = |processor: &u32| siblings(*processor).into_iter().find(|sibling| all.contains(sibling));
    let idle = |processor: &&u32| !siblings(**processor).iter().any(|sibling| used.contains(sibling));
    all.iter().filter(|processor| first(processor) == Some(**processor)).filter(idle).copied().collect()
}

/// The processors of the control group that `/proc/self/cgroup` tells of, or of the nearest above it that
/// says which it has. A batch system gives a job its share of a host so, whatever its ranks are bound to.
fn allotted(groups: &str, read: impl Fn(&str) -> Option<String>) -> Option<Vec<u32>> {
    let of = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "cpuset.cpus.effective"),
            _ if controllers.split(',').any(|c| c == "cpuset") => {
                ("/sys/fs/cgroup/cpuset", "cpuset.effective_cpus")
            }
            _ => return None,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            let list = read(&format!("{root}{path}/{file}")).and_then(|list| processors(&list));
            if list.is_some() || path.is_empty() {
                return list;
            }
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
    };
    // In version 1 of control groups, whose line has the name; in version 2 there is one line.
    groups.lines().filter(|line| line.contains("cpuset")).find_map(of).or_else(|| groups.lines().find_map(of))
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

    #[test]
    fn a_job_has_the_processors_of_its_control_group_or_of_one_above() {
        let read = |path: &str| match path {
            "/sys/fs/cgroup/slurm/job_7/cpuset.cpus.effective" => Some("0-3,8-11\n".to_string()),
            "/sys/fs/cgroup/cpuset/job/cpuset.effective_cpus" => Some("4-5\n".to_string()),
            "/sys/fs/cgroup/cpuset.cpus.effective" => Some("\n".to_string()),
            _ => None,
        };
        assert_eq!(allotted("0::/slurm/job_7/step_0\n", read), Some(vec![0, 1, 2, 3, 8, 9, 10, 11]));
        assert_eq!(allotted("4:cpu,cpuset:/job/rank\n0::/slurm/job_7\n", read), Some(vec![4, 5]));
        assert_eq!(allotted("0::/\n", read), None);
        assert_eq!(allotted("", read), None);
        assert!((1..=affinity().len()).contains(&cores(&affinity())) && cores(&[]) == 0);
        assert!(idle_cores(&affinity()).iter().all(|core| !affinity().contains(core)));
    }
}
