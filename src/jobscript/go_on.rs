//! How a job hears that it must end, ends in order, and goes on as another.

use super::request::Request;
use super::text::Text;
use super::wish::Scheduler;

/// Signals and the wait for the launcher, once it has been started in the background.
pub fn wait(request: &Request, text: &mut Text) {
    match request.scheduler {
        Scheduler::Slurm => text.say(
            "Slurm tells this shell (--signal=B:) that the time is nearly up, and nobody else. The launcher runs in the \
             background, as bash would wait for a command in the foreground before it acts; it passes SIGUSR1 on to \
             the ranks, which stop at the same step with checkpoints, and all ends with exit code 75. SIGTERM is passed \
             on as SIGUSR1, for launchers answer it by killing.",
        ),
        Scheduler::Pbs => text.say(
            "PBS sends no signal ahead of the end: crossrx looks at the clock instead (--max-hours, above). SIGTERM, of \
             qdel or a preemption, is passed on to the launcher as SIGUSR1, for launchers answer SIGTERM by killing: \
             the ranks stop at the same step with checkpoints, and all ends with exit code 75, if PBS leaves them the \
             time (kill_delay, 10 s unless the site says otherwise). `qsig -s USR1 JOB` ends a job early, as the time limit does. \
             But PBS sends signals to the login shell that starts this script as well, which dies of them, and the job \
             with it, unless ~/.bash_profile tells it otherwise: `trap : TERM USR1`.",
        ),
        Scheduler::Local => text.say(
            "Ctrl-C or a signal is passed on to the launcher, which runs in the background, as SIGUSR1: the ranks stop \
             at the same step with checkpoints, and all ends with exit code 75. A second one kills.",
        ),
    };
    text.line("told='' launcher=$!");
    let signals = match request.scheduler {
        Scheduler::Local => &["USR1", "TERM", "INT"][..],
        _ => &["USR1", "TERM"],
    };
    for signal in signals {
        // Whatever follows SIGTERM, a job that was told to end must not be requeued.
        let told = if *signal == "USR1" { "${told:-USR1}" } else { *signal };
        text.line(format!("trap 'told={told} heard=yes; kill -USR1 \"$launcher\" || true' {signal}"));
    }
    text.gap();
    text.say("A signal ends `wait`, not the launcher: then wait again, for the exit code of its own.");
    text.line(
        "while :; do
    heard=no code=0
    wait \"$launcher\" || code=$?
    [ \"$heard\" = yes ] || break
    echo \"$(date -u +%FT%TZ) SIG$told: crossrx is told to stop\"
done",
    );
    text.gap();
}

/// What is kept of the run folder before it starts, to see whether the job got anywhere.
pub fn look_before(request: &Request, text: &mut Text) {
    if !request.requeue {
        return;
    }
    text.say(
        "What the run has so far: a job that adds nothing to it must not be requeued for ever. Jobs that did nothing \
         are counted in a file beside the run folder.",
    );
    text.line(
        "progress() {
    { find \"$out/journal\" \"$out/checkpoints\" -type f -printf '%p %s %T@\\n' 2>/dev/null || true; } | sort | cksum
}
before=$(progress)
idle=$out.idle",
    );
    text.gap();
}

/// What comes of the exit code.
pub fn finish(request: &Request, text: &mut Text) {
    let again = again(request);
    text.say(
        "0: the study is complete. 75: it was told to stop and goes on from there. Anything else is a fault,",
    );
    text.say("which the log tells; that it would not cure itself is why such a job is never requeued.");
    text.line("case $code in");
    text.line("    0)");
    if request.requeue {
        text.line("        rm -f -- \"$idle\"");
    }
    text.line("        echo \"$(date -u +%FT%TZ) complete: $out\"");
    text.line("        ;;");
    text.line("    75)");
    match (request.requeue, request.scheduler) {
        (true, Scheduler::Slurm) => slurm(request, text),
        (true, Scheduler::Pbs) => pbs(request, text),
        _ => {
            text.line(format!(
                "        echo \"$(date -u +%FT%TZ) stopped before the end; to go on: {again}\""
            ));
        }
    }
    text.line("        ;;");
    text.line("    *)");
    text.line(format!(
        "        # A launcher that was itself sent SIGTERM, as a whole job is, ends with a code of its own.
        case $told in
            '' | USR1) echo \"$(date -u +%FT%TZ) failed with exit code $code: see the lines above\" >&2 ;;
            *) echo \"$(date -u +%FT%TZ) ended by SIG$told with exit code $code; to go on: {again}\" >&2 ;;
        esac"
    ));
    text.line("        ;;");
    text.line("esac");
    text.line("exit \"$code\"");
}

/// What to type for the study to go on.
fn again(request: &Request) -> &'static str {
    match request.scheduler {
        Scheduler::Slurm => "sbatch this script again, in $PWD",
        Scheduler::Pbs => "qsub this script again, in $PWD",
        Scheduler::Local => "start this script again",
    }
}

/// The guard against jobs that get nowhere: leaves `reason` empty, or says why this one must not go on.
fn guard(text: &mut Text) {
    text.line(
        "        if [ \"$(progress)\" != \"$before\" ]; then
            rm -f -- \"$idle\"
        else
            date -u +%FT%TZ >>\"$idle\"
        fi
        if [ -e \"$idle\" ] && [ \"$(wc -l <\"$idle\")\" -ge 3 ]; then
            reason=\"three jobs in a row added nothing to $out: give it more time\"
            rm -f -- \"$idle\"
        fi",
    );
}

fn slurm(request: &Request, text: &mut Text) {
    let again = again(request);
    text.line("        reason=");
    guard(text);
    text.line(format!(
        "        # After SIGTERM it must not come back: scancel sends that. What Slurm preempts or loses with a node, it
        # requeues by itself (--requeue).
        if [ \"$told\" != USR1 ]; then reason=\"stopped by SIG${{told:-USR1 of its ranks}}: ended from outside, or by the time limit itself\"; fi
        if [ -n \"$reason\" ]; then
            echo \"$(date -u +%FT%TZ) not requeued: $reason; to go on: {again}\" >&2
            exit 75
        fi
        # Slurm ends this script by SIGTERM as soon as the job is requeued, so nothing may follow.
        echo \"$(date -u +%FT%TZ) requeueing job $job, which Slurm holds back for about two minutes\"
        trap '' TERM USR1
        if ! scontrol requeue \"$job\"; then
            echo \"$(date -u +%FT%TZ) Slurm does not requeue it; to go on: {again}\" >&2
        fi"
    ));
}

fn pbs(request: &Request, text: &mut Text) {
    let again = again(request);
    text.line("        reason=");
    guard(text);
    text.line(
        "        # PBS runs a job that it preempted again by itself (-r y), and one that qdel ended must not come back.
        if [ \"$told\" = TERM ]; then reason=\"PBS ended it\"; fi
        # qrerun is for operators, so a new job takes over, of the same text. PBS runs a copy of the script: as a file
        # that bash was given by name, or as its standard input.
        script=
        for file in \"$0\" \"/proc/$$/fd/0\"; do
            if [ -f \"$file\" ] && [ -r \"$file\" ] && grep -q '^# crossrx jobscript pbs ' \"$file\"; then
                script=$file
                break
            fi
        done
        if [ -z \"$script\" ]; then reason=\"${reason:-the script of the job cannot be found}\"; fi
        if [ -n \"$reason\" ]; then",
    );
    text.line(format!(
        "            echo \"$(date -u +%FT%TZ) not submitted again: $reason; to go on: {again}\" >&2"
    ));
    let submit = if request.is_array() {
        text.line("        # Of an array, only this study: no -J, and its number in place of PBS's.");
        "sed -e '/^#PBS -J /d' -e \"s/^element=.*/element=$element/\" \"$script\" | qsub"
    } else {
        "qsub <\"$script\""
    };
    text.line(format!(
        "        elif next=$({submit}); then
            echo \"$(date -u +%FT%TZ) goes on as $next\"
        else
            echo \"$(date -u +%FT%TZ) qsub does not take it here; to go on: {again}\" >&2
        fi"
    ));
}
