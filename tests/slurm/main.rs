//! Job scripts on a real Slurm: its daemons on this machine, three virtual nodes, and jobs that are
//! stopped, cancelled, preempted and that lose a node. `make test-slurm` runs these tests, which need
//! root, Slurm and MUNGE. What each job said is kept in `target/tmp/slurm/`.
#![cfg(target_os = "linux")]

mod arrays;
mod cancelled;
mod cluster;
mod failing;
mod job;
mod node_down;
mod poll;
mod preempted;
mod processes;
mod study;
mod time_limit;
#[path = "../study/tree.rs"]
#[expect(dead_code, reason = "tests of many studies need more of it")]
mod tree;
mod two_nodes;
