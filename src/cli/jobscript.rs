use super::command_line;
use super::say::say;
use crate::Result;
use crate::bench::scaling::Mode;
use crate::jobscript::{Launcher, Request, Scheduler, Wish, script};
use std::path::PathBuf;

/// Print a job script for a study: resources, binding, stopping in time, going on
///
/// The deck is read and checked now. The script is bash with comments, made to
/// be read and changed; jobscripts/ has examples. Save it, and submit it from
/// the folder that the paths in it are relative to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who will run it.
    #[arg(value_enum, value_name = "slurm|pbs|local", hide_possible_values = true)]
    scheduler: Scheduler,
    /// The experiment (TOML); several make an array of jobs, one a deck.
    #[arg(required = true, value_name = "DECK")]
    decks: Vec<PathBuf>,
    /// Nodes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    nodes: usize,
    /// Ranks of a node.
    #[arg(long, value_name = "R")]
    ranks_per_node: usize,
    /// GPUs of a node; ranks take them in turn.
    #[arg(long, value_name = "G", default_value_t = 0)]
    gpus_per_node: usize,
    /// Cores of a node, shared evenly by its ranks [default: the machine's, or counted by the script].
    #[arg(long, value_name = "C")]
    cores_per_node: Option<usize>,
    /// Limit of time [default: 1; none for local].
    #[arg(long, value_name = "H")]
    hours: Option<f64>,
    /// Whom the job is charged to.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Partition, quality of service or queue.
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// A module to load; may be repeated.
    #[arg(long = "module", value_name = "M")]
    modules: Vec<String>,
    /// Go on in another job by itself until the study is complete.
    #[arg(long)]
    requeue: bool,
    /// A type of machine whose facts are known: perlmutter, polaris, cpu-cluster.
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,
    /// What starts the ranks [default: srun under Slurm, else mpirun].
    #[arg(long, value_enum)]
    launcher: Option<Launcher>,
    /// Overrides a key of the decks with any TOML value; may be repeated.
    #[arg(long = "set", value_name = "section.key=value")]
    sets: Vec<String>,
    /// Folder for the results; of several decks, the one that holds theirs [default: runs/DECK].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Name of the job [default: that of the deck].
    #[arg(long)]
    name: Option<String>,
    /// A further directive, without #SBATCH or #PBS; may be repeated.
    #[arg(long = "directive", value_name = "TEXT", allow_hyphen_values = true)]
    directives: Vec<String>,
    /// Measure how the training scales, on 1, 2, 4, ... ranks of the job, instead of running the study.
    #[arg(long)]
    scaling: bool,
    /// What grows with the ranks of a scaling run.
    #[arg(long, value_enum, default_value = "strong", requires = "scaling")]
    mode: Mode,
    /// How the script calls this program.
    #[arg(long, value_name = "PATH", default_value = "crossrx")]
    program: String,
}

/// Prints the script; what would be idle is warned of.
pub fn run(args: Args) -> Result<()> {
    let (request, warnings) = Request::check(Wish {
        scheduler: args.scheduler,
        decks: args.decks,
        nodes: args.nodes,
        ranks_per_node: args.ranks_per_node,
        gpus_per_node: args.gpus_per_node,
        cores_per_node: args.cores_per_node,
        hours: args.hours,
        account: args.account,
        queue: args.queue,
        modules: args.modules,
        requeue: args.requeue,
        machine: args.machine,
        launcher: args.launcher,
        sets: args.sets,
        out: args.out,
        name: args.name,
        directives: args.directives,
        scaling: args.scaling.then_some(args.mode),
        program: args.program,
        command: command_line(),
    })?;
    for warning in warnings {
        log::warn!("{warning}");
    }
    say(script(&request))
}
