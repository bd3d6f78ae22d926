//! What the scripts of all schedulers have in common.

use super::go_on;
use super::launch;
use super::quote::quoted;
use super::request::{Request, Work};
use super::text::Text;
use super::wish::Scheduler;

/// The marker that a script knows itself by, with the command that made it.
pub fn head(request: &Request, submit: &str, text: &mut Text) {
    let scheduler = request.scheduler.name();
    // A login shell knows the command `module`.
    text.line(if request.modules.is_empty() { "#!/bin/bash" } else { "#!/bin/bash -l" });
    text.line(format!("# crossrx jobscript {scheduler} made this by"));
    text.line(format!("#   {}", request.command));
    text.say(format!("{submit} Paths are relative to the folder that it is done in."));
    text.line("#");
    for about in &request.about {
        text.say(about);
    }
    if let Some(machine) = request.machine {
        text.say(format!("{}: {}.", machine.name, machine.about));
    }
    text.gap();
}

/// Modules, strict mode, the folder.
pub fn start(request: &Request, text: &mut Text) {
    if !request.modules.is_empty() {
        text.say("Before strict mode, which the functions behind `module` are not made for.");
        for module in &request.modules {
            text.line(format!("module load {} || exit 1", quoted(module)));
        }
        text.gap();
    }
    text.line("set -euo pipefail");
    match request.scheduler {
        Scheduler::Slurm => text.line("cd -- \"${SLURM_SUBMIT_DIR:?submit this script with sbatch}\""),
        Scheduler::Pbs => {
            text.say("PBS starts in the home folder.");
            text.line("cd -- \"${PBS_O_WORKDIR:?submit this script with qsub}\"")
        }
        Scheduler::Local => text,
    };
    text.gap();
}

/// Deck, store and run folder of this job; a look whether all is there; host, date and versions.
pub fn prepare(request: &Request, index: &str, text: &mut Text) {
    if let [study] = &request.studies[..] {
        text.line(format!("deck={}", quoted(&study.deck)));
        text.line(format!("store={}", quoted(&study.store)));
        text.line(format!("out={}", quoted(&study.out)));
    } else {
        let list = |of: &dyn Fn(&super::studies::Study) -> &str| -> String {
            request.studies.iter().map(|study| quoted(of(study))).collect::<Vec<_>>().join(" ")
        };
        text.say("One study an element of the array.");
        text.line(format!("element={index}"));
        text.line(format!("decks=({})", list(&|study| &study.deck)));
        text.line(format!("stores=({})", list(&|study| &study.store)));
        text.line(format!("outs=({})", list(&|study| &study.out)));
        text.line("deck=${decks[element]} store=${stores[element]} out=${outs[element]}");
    }
    text.line(format!("crossrx={}", quoted(&request.program)));
    text.gap();
    text.say("Better to fail now than after the launch of many ranks.");
    text.line(
        "for file in \"$deck\" \"$store\"; do
    if [ ! -r \"$file\" ]; then
        echo \"$(hostname): no $file in $PWD: submit from the folder that its path is relative to\" >&2
        exit 1
    fi
done",
    );
    text.line(format!("for program in \"$crossrx\" {}; do", request.launcher.command()));
    text.line(
        "    if ! command -v \"$program\" >/dev/null; then
        echo \"$(hostname): no $program on PATH: load its module (--module) or set PATH\" >&2
        exit 1
    fi
done",
    );
    text.line("mkdir -p -- \"$(dirname -- \"$out\")\"").gap();
    let job = match request.scheduler {
        Scheduler::Slurm => " job $job, restart ${SLURM_RESTART_COUNT:-0}, nodes $SLURM_JOB_NODELIST,",
        Scheduler::Pbs => " job $PBS_JOBID,",
        Scheduler::Local => "",
    };
    text.line(format!("echo \"$(date -u +%FT%TZ){job} deck $deck on $(hostname)\""));
    text.line(format!(
        "{{ \"$crossrx\" --version; {} --version || true; }} 2>&1 | sed -n 1,2p",
        request.launcher.command()
    ));
    text.gap();
}

/// Cores of a rank, counted on the node, where the request does not tell.
pub fn count_cores(request: &Request, text: &mut Text) {
    if request.layout.cores.is_some() {
        return;
    }
    text.say(
        "A rank gets an even share of the node's cores; two hardware threads of a core share its units of arithmetic, \
         so cores are what counts. (--cores-per-node tells them beforehand.)",
    );
    text.line("cores=$(lscpu --online --parse=CORE,SOCKET,NODE | grep -v '^#' | sort -u | wc -l)");
    if request.scheduler == Scheduler::Slurm {
        text.line(
            "if [ \"${SLURM_CPUS_ON_NODE:-$cores}\" -lt \"$cores\" ]; then cores=$SLURM_CPUS_ON_NODE; fi",
        );
    }
    let ranks = request.layout.ranks_per_node;
    text.line(format!("cores=$((cores / {ranks} > 0 ? cores / {ranks} : 1))"));
    text.gap();
}

/// From the launch of the ranks to the end of the script.
pub fn run(request: &Request, text: &mut Text) {
    count_cores(request, text);
    go_on::look_before(request, text);
    if request.work == Work::Study && request.scheduler == Scheduler::Pbs {
        text.say(format!(
            "crossrx stops with checkpoints when 99 % of these hours are over, {} s of the walltime left for that, and \
             goes on in the next job. Keep the first number in step with walltime above.",
            request.spare()
        ));
        text.line(format!("walltime={}", request.seconds));
        text.line(format!(
            "hours=$(awk -v left=\"$((walltime - {} - SECONDS))\" 'BEGIN {{ printf \"%.5f\", left / 3600 }}')",
            request.spare()
        ));
        text.gap();
    }
    let mut words = launch::words(request, text);
    if request.scheduler == Scheduler::Local && request.work == Work::Study {
        text.say(
            "In a session of its own (setsid): the terminal sends Ctrl-C to all of its own, and launchers answer that \
             by killing the ranks.",
        );
        words.insert(0, "setsid".into());
    }
    text.say(
        "A thread a core: a rank bound to whole cores sees both hardware threads of each, and would take all of them.",
    );
    let threads = request.layout.cores_word();
    words.extend(match request.work {
        Work::Study => ["\"$crossrx\"".to_string(), "transfer".into(), "\"$deck\"".into()].to_vec(),
        Work::Scaling(_) => {
            ["\"$crossrx\"".to_string(), "bench".into(), "scaling".into(), "\"$deck\"".into()].to_vec()
        }
    });
    for set in &request.sets {
        words.extend(["--set".into(), quoted(set)]);
    }
    if let Work::Scaling(mode) = request.work {
        let ranks: Vec<String> = request.rank_counts().iter().map(usize::to_string).collect();
        words.extend(["--ranks".into(), ranks.join(","), "--mode".into(), mode.name().into()]);
    }
    words.extend(["--threads".into(), threads]);
    if request.layout.gpus > 0 {
        words.extend(["--device".into(), "cuda".into()]);
    }
    if request.work == Work::Study && request.scheduler == Scheduler::Pbs {
        words.extend(["--max-hours".into(), "\"$hours\"".into()]);
    }
    if let Some(hours) = request.max_hours {
        words.extend(["--max-hours".into(), hours.to_string()]);
    }
    words.extend(["--out".into(), "\"$out\"".into()]);
    if request.work != Work::Study {
        // It has nothing to go on from, so signals may end it.
        // Where the shell reads this script from its standard input, the launcher must not.
        text.command(&words, " </dev/null");
        text.line("echo \"$(date -u +%FT%TZ) complete: $out\"");
        return;
    }
    text.command(&words, " &");
    text.gap();
    go_on::wait(request, text);
    go_on::finish(request, text);
}
