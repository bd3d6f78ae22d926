use crate::{Error, Result};

/// Processors that this process may run on: its affinity mask and its control
/// group's quota, whichever is less.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The processors this process is bound to, in the kernel's words ("0-3,8"),
/// or an empty string where the system does not tell. Two ranks of one node
/// with the same text share those processors.
pub fn affinity() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.map(|l| l.trim().to_string()).unwrap_or_default()
}

/// Threads for this rank so that no processor is used twice: the wish if there
/// is one, else an equal share of `processors` among the `ranks` bound to them.
pub fn share(wish: Option<usize>, processors: usize, ranks: usize) -> usize {
    wish.unwrap_or(processors / ranks.max(1)).max(1)
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
    fn ranks_bound_to_the_same_processors_share_them() {
        assert_eq!(share(None, 8, 1), 8);
        assert_eq!(share(None, 8, 2), 4);
        assert_eq!(share(None, 2, 4), 1);
        assert_eq!(share(Some(3), 2, 4), 3);
    }
}
