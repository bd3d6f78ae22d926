use super::body;
use super::launch;
use super::launcher::Launcher;
use super::request::{Request, Work};
use super::text::Text;

/// A script for sbatch; <https://slurm.schedmd.com/sbatch.html> has the options.
pub fn script(request: &Request) -> String {
    let mut text = Text::default();
    body::head(request, "Save it and submit it by sbatch.", &mut text);
    resources(request, &mut text);
    stopping(request, &mut text);
    for directive in &request.directives {
        text.line(format!("#SBATCH {directive}"));
    }
    text.gap();
    body::start(request, &mut text);
    if request.is_array() {
        text.say("One element of the array has a number of its own, which scontrol knows it by.");
        text.line("job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID");
    } else {
        text.line("job=$SLURM_JOB_ID");
    }
    body::prepare(request, "$SLURM_ARRAY_TASK_ID", &mut text);
    body::run(request, &mut text);
    text.finish()
}

fn resources(request: &Request, text: &mut Text) {
    let layout = &request.layout;
    let queue = request.machine.and_then(|machine| machine.queue).unwrap_or("partition");
    text.line(format!("#SBATCH --job-name={}", request.name));
    if let Some(account) = &request.account {
        text.line(format!("#SBATCH --account={account}"));
    }
    if let Some(name) = &request.queue {
        text.line(format!("#SBATCH --{queue}={name}"));
    }
    text.line(format!("#SBATCH --time={}", request.clock()));
    if request.is_array() {
        text.say("One element a deck, each a job of its own on as many nodes as told here; %N behind it allows N at once.");
        text.line(format!("#SBATCH --array=0-{}", request.studies.len() - 1));
    }
    text.line(format!("#SBATCH --nodes={}", layout.nodes));
    text.line(format!("#SBATCH --ntasks-per-node={}", layout.ranks_per_node));
    match (request.machine, layout.cores) {
        // Masks tell the cores of each rank.
        _ if !layout.places.is_empty() => {}
        (Some(machine), _) if machine.hardware_threads > 1 => {
            text.say(format!(
                "CPUs of a rank are hardware threads here, {} a core.",
                machine.hardware_threads
            ));
            text.line(format!("#SBATCH --cpus-per-task={}", launch::cpus(request)));
        }
        (_, Some(cores)) => {
            text.say("A rank's own cores, of which one hardware thread each is counted and used.");
            text.line(format!("#SBATCH --cpus-per-task={cores}"));
            text.line("#SBATCH --threads-per-core=1");
        }
        (_, None) if request.launcher == Launcher::Srun => {
            text.say(
                "srun takes hardware threads for CPUs, two a core, unless it is told to count one of each.",
            );
            text.line("#SBATCH --threads-per-core=1");
        }
        (_, None) => {}
    }
    let whole = request.machine.is_some_and(|machine| !machine.whole_nodes) || layout.cores.is_none();
    if whole {
        text.say("Whole nodes, with all of their cores and memory.");
        text.line("#SBATCH --exclusive");
        // sbatch takes one of them at most.
        if !["--mem", "--mem-per-cpu", "--mem-per-gpu"].iter().any(|option| request.overrides(option)) {
            text.line("#SBATCH --mem=0");
        }
    }
    if layout.gpus > 0 {
        text.say("GPUs of a node, not of a task: every rank must see all of them.");
        text.line(format!("#SBATCH --gpus-per-node={}", layout.gpus));
    }
    for (directive, why) in request.machine.map_or(&[][..], |machine| machine.directives) {
        if !request.overrides(directive) {
            text.say(why);
            text.line(format!("#SBATCH {directive}"));
        }
    }
    text.say("The log: of name and number, in the folder of submission.");
    text.line(format!("#SBATCH --output=%x-{}.out", if request.is_array() { "%A_%a" } else { "%j" }));
}

fn stopping(request: &Request, text: &mut Text) {
    if request.work == Work::Study {
        text.say(format!(
            "{} s before the time is up, SIGUSR1 to the shell of this script (B:), which handles it below. Slurm may \
             send it up to a minute earlier.",
            request.spare()
        ));
        text.line(format!("#SBATCH --signal=B:USR1@{}", request.spare()));
    }
    if request.requeue {
        text.say("Slurm may start it again, after a preemption or the loss of a node; then it writes on in the same log.");
        text.line("#SBATCH --requeue").line("#SBATCH --open-mode=append");
    } else {
        text.say("Without --requeue Slurm does not start it again by itself, as most sites have it do (JobRequeue).");
        text.line("#SBATCH --no-requeue");
    }
}
