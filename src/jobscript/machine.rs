use super::Launcher;
use super::Scheduler;

/// A type of machine whose facts are known, so that a script for it needs few options.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    /// What `--machine` calls it.
    pub name: &'static str,
    /// What it is, and where the facts come from.
    pub about: &'static str,
    /// The schedulers that it may have.
    pub schedulers: &'static [Scheduler],
    /// What starts ranks, where that is not the scheduler's default.
    pub launcher: Option<Launcher>,
    /// Whether these are the numbers of one machine, and not of a typical one.
    pub exact: bool,
    /// Cores of a node.
    pub cores: usize,
    /// Hardware threads of a core, which Slurm counts as CPUs.
    pub hardware_threads: usize,
    /// GPUs of a node.
    pub gpus: usize,
    /// The cores nearest to each GPU, first and last.
    pub near: &'static [(usize, usize)],
    /// Whether nodes go to one job at a time without its asking.
    pub whole_nodes: bool,
    /// What `--queue` names: an option of the scheduler.
    pub queue: Option<&'static str>,
    /// Chunk of a PBS `select`, after the number of nodes, where it is not made of cores and GPUs.
    pub select: Option<&'static str>,
    /// Further directives, each with its reason.
    pub directives: &'static [(&'static str, &'static str)],
}

/// All of them.
pub static MACHINES: [Machine; 3] = [
    Machine {
        name: "perlmutter",
        about: "GPU nodes of NERSC's Perlmutter: one AMD EPYC 7763 of 64 cores, 2 hardware threads each, and 4 \
                NVIDIA A100 (docs.nersc.gov, Perlmutter architecture); cores by GPU as nvidia-smi topo -m tells",
        schedulers: &[Scheduler::Slurm],
        launcher: Some(Launcher::Srun),
        exact: true,
        cores: 64,
        hardware_threads: 2,
        gpus: 4,
        near: &[(48, 63), (32, 47), (16, 31), (0, 15)],
        whole_nodes: true,
        queue: Some("qos"),
        select: None,
        directives: &[(
            "--constraint=gpu",
            "The nodes with GPUs; --constraint=gpu&hbm80g are those with 80 GB a GPU.",
        )],
    },
    Machine {
        name: "polaris",
        about: "ALCF's Polaris: one AMD EPYC Milan of 32 cores, 2 hardware threads each, and 4 NVIDIA A100 a node \
                (docs.alcf.anl.gov, Running jobs on Polaris); the cores nearest to GPU 0 to 3 run backwards",
        schedulers: &[Scheduler::Pbs],
        launcher: Some(Launcher::Pals),
        exact: true,
        cores: 32,
        hardware_threads: 2,
        gpus: 4,
        near: &[(24, 31), (16, 23), (8, 15), (0, 7)],
        whole_nodes: true,
        queue: None,
        select: Some("system=polaris"),
        directives: &[(
            "-l filesystems=home:eagle",
            "The file systems that the job needs; it waits while one of them is down.",
        )],
    },
    Machine {
        name: "cpu-cluster",
        about: "a plain cluster of whole nodes with two processors of 64 cores and no GPU, such as the CPU nodes of \
                Perlmutter (two AMD EPYC 7763, docs.nersc.gov); --cores-per-node says otherwise",
        schedulers: &[Scheduler::Slurm, Scheduler::Pbs],
        launcher: None,
        exact: false,
        cores: 128,
        hardware_threads: 1,
        gpus: 0,
        near: &[],
        whole_nodes: false,
        queue: None,
        select: None,
        directives: &[],
    },
];

impl Machine {
    /// The machine of this name.
    pub fn named(name: &str) -> Option<&'static Machine> {
        MACHINES.iter().find(|machine| machine.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_agree_with_one_another() {
        for machine in &MACHINES {
            assert_eq!(Machine::named(machine.name), Some(machine));
            assert_eq!(machine.near.len(), machine.gpus, "{}", machine.name);
            let mut near: Vec<usize> = machine.near.iter().flat_map(|&(first, last)| first..=last).collect();
            near.sort_unstable();
            assert!(near.is_empty() || near == (0..machine.cores).collect::<Vec<_>>(), "{}", machine.name);
        }
        assert_eq!(Machine::named("nowhere"), None);
    }
}
