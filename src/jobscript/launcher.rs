/// What starts the ranks of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Launcher {
    /// Slurm's own
    Srun,
    /// Open MPI's
    Mpirun,
    /// MPICH's (Hydra)
    Mpiexec,
    /// Cray's PALS, which is called mpiexec too
    Pals,
}

impl Launcher {
    /// The command's name.
    pub fn command(self) -> &'static str {
        match self {
            Launcher::Srun => "srun",
            Launcher::Mpirun => "mpirun",
            Launcher::Mpiexec | Launcher::Pals => "mpiexec",
        }
    }
}
