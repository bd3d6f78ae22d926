#!/bin/bash
# crossrx jobscript pbs made this by
#   crossrx jobscript pbs configs/csa.toml configs/ccle-dose.toml --nodes 1 --ranks-per-node 4 --cores-per-node 32 --hours 6 --account my_project --requeue
# Save it and submit it by qsub. Paths are relative to the folder that it is done in.
#
# configs/csa.toml: 40 tasks (4 sources x 10 splits) on 4 ranks, 4 groups of 1 rank, each some one after the
# other.
# configs/ccle-dose.toml: 1 task (1 source x 1 split) on 4 ranks, 1 group of 4 ranks.

#PBS -N crossrx
#PBS -S /bin/bash
#PBS -A my_project
#PBS -l walltime=06:00:00
# One element a deck, each a job of its own on as many nodes as told here.
#PBS -J 0-1
# A chunk is a node's part: its cores, its ranks (mpiprocs, lines of $PBS_NODEFILE) and its GPUs.
#PBS -l select=1:ncpus=32:mpiprocs=4
# Each chunk on a node of its own; scatter:excl keeps other jobs off it.
#PBS -l place=scatter
# One log of both streams, written where it can be read while the job runs (k: d needs PBS 18 or later).
#PBS -j oe
#PBS -k doe
# PBS may start it again from its beginning, after a preemption or the loss of a node.
#PBS -r y

set -euo pipefail
# PBS starts in the home folder.
cd -- "${PBS_O_WORKDIR:?submit this script with qsub}"

# One study an element of the array.
element=$PBS_ARRAY_INDEX
decks=(configs/csa.toml configs/ccle-dose.toml)
stores=(csa.h5 csa.h5)
outs=(runs/csa runs/ccle-dose)
deck=${decks[element]} store=${stores[element]} out=${outs[element]}
crossrx=crossrx

# Better to fail now than after the launch of many ranks.
for file in "$deck" "$store"; do
    if [ ! -r "$file" ]; then
        echo "$(hostname): no $file in $PWD: submit from the folder that its path is relative to" >&2
        exit 1
    fi
done
for program in "$crossrx" mpirun; do
    if ! command -v "$program" >/dev/null; then
        echo "$(hostname): no $program on PATH: load its module (--module) or set PATH" >&2
        exit 1
    fi
done
mkdir -p -- "$(dirname -- "$out")"

echo "$(date -u +%FT%TZ) job $PBS_JOBID, deck $deck on $(hostname)"
{ "$crossrx" --version; mpirun --version || true; } 2>&1 | sed -n 1,2p

# What the run has so far: a job that adds nothing to it must not be requeued for ever. Jobs that did nothing
# are counted in a file beside the run folder.
progress() {
    { find "$out/journal" "$out/checkpoints" -type f -printf '%p %s %T@\n' 2>/dev/null || true; } | sort | cksum
}
before=$(progress)
idle=$out.idle

# crossrx stops with checkpoints when 99 % of these hours are over, 600 s of the walltime left for that, and
# goes on in the next job. Keep the first number in step with walltime above.
walltime=21600
hours=$(awk -v left="$((walltime - 600 - SECONDS))" 'BEGIN { printf "%.5f", left / 3600 }')

# Open MPI: so many ranks a node, each bound to PE cores of its own.
# A thread a core: a rank bound to whole cores sees both hardware threads of each, and would take all of them.
mpirun -n 4 --hostfile "$PBS_NODEFILE" --map-by ppr:4:node:PE=8 --bind-to core "$crossrx" transfer "$deck" \
    --threads 8 --max-hours "$hours" --out "$out" &

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
        # Of an array, only this study: no -J, and its number in place of PBS's.
        elif next=$(sed -e '/^#PBS -J /d' -e "s/^element=.*/element=$element/" "$script" | qsub); then
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
