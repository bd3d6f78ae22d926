use super::launcher::Launcher;
use super::layout::Layout;
use super::request::Request;
use super::text::Text;
use super::wish::Scheduler;

/// Comments on how ranks are bound, and the words that start them, up to the program.
pub fn words(request: &Request, text: &mut Text) -> Vec<String> {
    let layout = &request.layout;
    if !layout.places.is_empty() {
        text.say(
            "crossrx deals the GPUs of a node to its ranks in turn, so every rank must see all of them. Each rank is \
             bound to cores near its GPU, first to last rank of a node:",
        );
        let places: Vec<String> = layout.places.iter().map(|(a, b)| format!("{a}-{b}")).collect();
        text.say(format!("cores {}", places.join(", ")));
    } else if layout.gpus > 0 {
        text.say(
            "crossrx deals the GPUs of a node to its ranks in turn, so every rank must see all of them. Which cores \
             are near which GPU, `nvidia-smi topo -m` tells on a node.",
        );
    }
    match request.launcher {
        Launcher::Srun => srun(request, text),
        Launcher::Mpirun => mpirun(request, text),
        Launcher::Mpiexec => hydra(request, text),
        Launcher::Pals => pals(layout, text),
    }
}

/// <https://slurm.schedmd.com/srun.html>
fn srun(request: &Request, text: &mut Text) -> Vec<String> {
    let layout = &request.layout;
    let cores = if layout.places.is_empty() {
        "srun does not take the cores of a rank over from sbatch (since Slurm 22.05), so they are told again."
    } else {
        "Masks alone tell the cores of a rank: with --cpus-per-task srun would have so many cores and no others \
         (--exact), and refuse masks beyond them."
    };
    text.say(format!(
        "{cores} Ranks that leave with 75 have not failed, whatever the site makes of exit codes: \
         --kill-on-bad-exit=0; but a rank that is gone ends the job a minute later: --wait."
    ));
    if request.machine.is_none_or(|machine| machine.launcher.is_none()) {
        text.say(
            "How srun and the MPI library talk is the site's MpiDefault, PMIx where that is none. Where it is wrong, \
             ranks do not see one another, and crossrx says so: SLURM_MPI_TYPE=pmix for Open MPI, pmi2 for many builds \
             of MPICH; `srun --mpi=list` shows what there is.",
        );
        text.line(
            "if [ -z \"${SLURM_MPI_TYPE:-}\" ] && scontrol show config | grep '^MpiDefault *= *none' >/dev/null; then
    export SLURM_MPI_TYPE=pmix
fi",
        );
    }
    let mut words = strings(["srun"]);
    words.push(format!("--nodes={}", layout.nodes));
    words.push(format!("--ntasks={}", layout.ranks()));
    words.push(format!("--ntasks-per-node={}", layout.ranks_per_node));
    if layout.places.is_empty() {
        words.push(format!("--cpus-per-task={}", cpus(request)));
    }
    if layout.gpus > 0 {
        words.push(format!("--gpus-per-node={}", layout.gpus));
        words.push("--gpu-bind=none".into());
    }
    words.push(match &layout.places[..] {
        [] => "--cpu-bind=cores".into(),
        places => {
            let masks: Vec<String> = places.iter().map(|&place| format!("{:#x}", mask(place))).collect();
            format!("--cpu-bind=mask_cpu:{}", masks.join(","))
        }
    });
    words.extend(strings(["--kill-on-bad-exit=0", "--wait=60"]));
    words
}

/// A bit for each core, as `--cpu-bind=mask_cpu` takes them. Machines with places have at most 128 cores.
fn mask((first, last): (usize, usize)) -> u128 {
    (first..=last.min(127)).fold(0, |mask, core| mask | 1 << core)
}

/// CPUs of a rank as Slurm counts them: hardware threads on machines that are known, else cores, for
/// `--threads-per-core=1` stands beside them.
pub fn cpus(request: &Request) -> String {
    let threads = request.machine.map_or(1, |machine| machine.hardware_threads);
    match request.layout.cores {
        Some(cores) => (cores * threads).to_string(),
        None => request.layout.cores_word(),
    }
}

/// mpirun(1) of Open MPI 4 and 5: `ppr` places so many ranks a node, `PE` gives each so many cores.
fn mpirun(request: &Request, text: &mut Text) -> Vec<String> {
    let layout = &request.layout;
    text.say("Open MPI: so many ranks a node, each bound to PE cores of its own.");
    let mut words = strings(["mpirun", "-n"]);
    words.push(layout.ranks().to_string());
    if request.scheduler == Scheduler::Pbs {
        words.extend(strings(["--hostfile", "\"$PBS_NODEFILE\""]));
    }
    let map = format!("ppr:{}:node:PE={}", layout.ranks_per_node, layout.cores_word());
    words.extend(["--map-by".into(), map, "--bind-to".into(), "core".into()]);
    words
}

/// <https://github.com/pmodels/mpich/blob/main/doc/wiki/how_to/Using_the_Hydra_Process_Manager.md>
fn hydra(request: &Request, text: &mut Text) -> Vec<String> {
    let layout = &request.layout;
    text.say("MPICH: so many ranks a node, each bound to so many cores, one rank's after the other's.");
    let mut words = strings(["mpiexec", "-n"]);
    words.push(layout.ranks().to_string());
    words.extend(["-ppn".into(), layout.ranks_per_node.to_string()]);
    if request.scheduler == Scheduler::Pbs {
        words.extend(strings(["-f", "\"$PBS_NODEFILE\""]));
    }
    words.extend(["-bind-to".into(), format!("core:{}", layout.cores_word())]);
    words
}

/// <https://docs.alcf.anl.gov/polaris/running-jobs/>
fn pals(layout: &Layout, text: &mut Text) -> Vec<String> {
    let mut words = strings(["mpiexec", "-n"]);
    words.push(layout.ranks().to_string());
    words.extend(["--ppn".into(), layout.ranks_per_node.to_string()]);
    if layout.places.is_empty() {
        text.say("So many ranks a node, each bound to the next cores (--depth of them).");
        words.extend([format!("--depth={}", layout.cores_word()), "--cpu-bind=depth".into()]);
    } else {
        let list: Vec<String> = layout
            .places
            .iter()
            .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
            .collect();
        words.push(format!("--cpu-bind=list:{}", list.join(":")));
    }
    words
}

fn strings<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(String::from).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_a_bit_a_core() {
        assert_eq!(format!("{:#x}", mask((48, 63))), "0xffff000000000000");
        assert_eq!((mask((0, 0)), mask((2, 3))), (1, 12));
    }
}
