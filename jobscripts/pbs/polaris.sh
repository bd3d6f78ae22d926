#!/bin/bash
# crossrx jobscript pbs made this by
#   crossrx jobscript pbs configs/csa.toml --machine polaris --nodes 3 --ranks-per-node 4 --gpus-per-node 4 --hours 1 --account my_project --queue preemptable --requeue
# Save it and submit it by qsub. Paths are relative to the folder that it is done in.
#
# configs/csa.toml: 40 tasks (4 sources x 10 splits) on 12 ranks, 12 groups of 1 rank, each a few one after
# the other.
# polaris: ALCF's Polaris: one AMD EPYC Milan of 32 cores, 2 hardware threads each, and 4 NVIDIA A100 a node
# (docs.alcf.anl.gov, Running jobs on Polaris); the cores nearest to GPU 0 to 3 run backwards.

#PBS -N csa
#PBS -S /bin/bash
#PBS -A my_project
#PBS -q preemptable
#PBS -l walltime=01:00:00
#PBS -l select=3:system=polaris
# One chunk a node; nodes are given whole.
#PBS -l place=scatter
# The file systems that the job needs; it waits while one of them is down.
#PBS -l filesystems=home:eagle
# One log of both streams, written where it can be read while the job runs (k: d needs PBS 18 or later).
#PBS -j oe
#PBS -k doe
# PBS may start it again from its beginning, after a preemption or the loss of a node.
#PBS -r y

set -euo pipefail
# PBS starts in the home folder.
cd -- "${PBS_O_WORKDIR:?submit this script with qsub}"

deck=configs/csa.toml
store=csa.h5
out=runs/csa
crossrx=crossrx

# Better to fail now than after the launch of many ranks.
for file in "$deck" "$store"; do
    if [ ! -r "$file" ]; then
        echo "$(hostname): no $file in $PWD: submit from the folder that its path is relative to" >&2
        exit 1
    fi
done
for program in "$crossrx" mpiexec; do
    if ! command -v "$program" >/dev/null; then
        echo "$(hostname): no $program on PATH: load its module (--module) or set PATH" >&2
        exit 1
    fi
done
mkdir -p -- "$(dirname -- "$out")"

echo "$(date -u +%FT%TZ) job $PBS_JOBID, deck $deck on $(hostname)"
{ "$crossrx" --version; mpiexec --version || true; } 2>&1 | sed -n 1,2p

# What the run has so far: a job that adds nothing to it must not be requeued for ever. Jobs that did nothing
# are counted in a file beside the run folder.
progress() {
    { find "$out/journal" "$out/checkpoints" -type f -printf '%p %s %T@\n' 2>/dev/null || true; } | sort | cksum
}
before=$(progress)
idle=$out.idle

# crossrx stops with checkpoints when 99 % of these hours are over, 180 s of the walltime left for that, and
# goes on in the next job. Keep the first number in step with walltime above.
walltime=3600
hours=$(awk -v left="$((walltime - 180 - SECONDS))" 'BEGIN { printf "%.5f", left / 3600 }')

# crossrx deals the GPUs of a node to its ranks in turn, so every rank must see all of them. Each rank is
# bound to cores near its GPU, first to last rank of a node:
# cores 24-31, 16-23, 8-15, 0-7
# A thread a core: a rank bound to whole cores sees both hardware threads of each, and would take all of them.
mpiexec -n 12 --ppn 4 --cpu-bind=list:24-31:16-23:8-15:0-7 "$crossrx" transfer "$deck" \
    --threads 8 --device cuda --max-hours "$hours" --out "$out" &

# PBS sends no signal ahead of the end: crossrx looks at the clock instead (--max-hours, above). SIGTERM, of
# qdel or a preemption, is passed on to the launcher as SIGUSR1, for launchers answer SIGTERM by killing: the
# ranks stop at the same step with checkpoints, and all ends with exit code 75, if PBS leaves them the time
# (kill_delay, 10 s unless the site says otherwise). `qsig -s USR1 JOB` ends a job early, as the time limit
# does. But PBS sends signals to the login shell that starts this script as well, which dies of them, and the
# job with it, unless ~/.bash_profile tells it otherwise: `trap : TERM USR1`.
told='' launcher=$!
trap 'told=${told:-USR1} heard=yes; kill -USR1 "$launcher" || true' USR1
trap 'told=TERM heard=yes; kill -USR1 "$launcher" || true' TERM

# A signal ends `wait`, not the launcher: then wait again, for the exit code of its own.
while :; do
    heard=no code=0
    wait "$launcher" || code=$?
    [ "$heard" = yes ] || break
    echo "$(date -u +%FT%TZ) SIG$told: crossrx is told to stop"
done

# 0: the study is complete. 75: it was told to stop and goes on from there. Anything else is a fault,
# which the log tells; that it would not cure itself is why such a job is never requeued.
case $code in
    0)
        rm -f -- "$idle"
        echo "$(date -u +%FT%TZ) complete: $out"
        ;;
    75)
        reason=
        if [ "$(progress)" != "$before" ]; then
            rm -f -- "$idle"
        else
            date -u +%FT%TZ >>"$idle"
        fi
        if [ -e "$idle" ] && [ "$(wc -l <"$idle")" -ge 3 ]; then
            reason="three jobs in a row added nothing to $out: give it more time"
            rm -f -- "$idle"
        fi
        # PBS runs a job that it preempted again by itself (-r y), and one that qdel ended must not come back.
        if [ "$told" = TERM ]; then reason="PBS ended it"; fi
        # qrerun is for operators, so a new job takes over, of the same text. PBS runs a copy of the script: as a file
        # that bash was given by name, or as its standard input.
        script=
        for file in "$0" "/proc/$$/fd/0"; do
            if [ -f "$file" ] && [ -r "$file" ] && grep -q '^# crossrx jobscript pbs ' "$file"; then
                script=$file
                break
            fi
        done
        if [ -z "$script" ]; then reason="${reason:-the script of the job cannot be found}"; fi
        if [ -n "$reason" ]; then
            echo "$(date -u +%FT%TZ) not submitted again: $reason; to go on: qsub this script again, in $PWD" >&2
        elif next=$(qsub <"$script"); then
            echo "$(date -u +%FT%TZ) goes on as $next"
        else
            echo "$(date -u +%FT%TZ) qsub does not take it here; to go on: qsub this script again, in $PWD" >&2
        fi
        ;;
    *)
        # A launcher that was itself sent SIGTERM, as a whole job is, ends with a code of its own.
        case $told in
            '' | USR1) echo "$(date -u +%FT%TZ) failed with exit code $code: see the lines above" >&2 ;;
            *) echo "$(date -u +%FT%TZ) ended by SIG$told with exit code $code; to go on: qsub this script again, in $PWD" >&2 ;;
        esac
        ;;
esac
exit "$code"
