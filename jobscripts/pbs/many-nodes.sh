#!/bin/bash -l
# crossrx jobscript pbs made this by
#   crossrx jobscript pbs configs/csa.toml --nodes 4 --ranks-per-node 3 --cores-per-node 48 --hours 4 --account my_project --queue workq --module openmpi --module hdf5
# Save it and submit it by qsub. Paths are relative to the folder that it is done in.
#
# configs/csa.toml: 40 tasks (4 sources x 10 splits) on 12 ranks, 12 groups of 1 rank, each a few one after
# the other.

#PBS -N csa
#PBS -S /bin/bash
#PBS -A my_project
#PBS -q workq
#PBS -l walltime=04:00:00
# A chunk is a node's part: its cores, its ranks (mpiprocs, lines of $PBS_NODEFILE) and its GPUs.
#PBS -l select=4:ncpus=48:mpiprocs=3
# Each chunk on a node of its own; scatter:excl keeps other jobs off it.
#PBS -l place=scatter
# One log of both streams, written where it can be read while the job runs (k: d needs PBS 18 or later).
#PBS -j oe
#PBS -k doe
# Without --requeue PBS does not start it again by itself.
#PBS -r n

# Before strict mode, which the functions behind `module` are not made for.
module load openmpi || exit 1
module load hdf5 || exit 1

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
for program in "$crossrx" mpirun; do
    if ! command -v "$program" >/dev/null; then
        echo "$(hostname): no $program on PATH: load its module (--module) or set PATH" >&2
        exit 1
    fi
done
mkdir -p -- "$(dirname -- "$out")"

echo "$(date -u +%FT%TZ) job $PBS_JOBID, deck $deck on $(hostname)"
{ "$crossrx" --version; mpirun --version || true; } 2>&1 | sed -n 1,2p

# crossrx stops with checkpoints when 99 % of these hours are over, 600 s of the walltime left for that, and
# goes on in the next job. Keep the first number in step with walltime above.
walltime=14400
hours=$(awk -v left="$((walltime - 600 - SECONDS))" 'BEGIN { printf "%.5f", left / 3600 }')

# Open MPI: so many ranks a node, each bound to PE cores of its own.
# A thread a core: a rank bound to whole cores sees both hardware threads of each, and would take all of them.
mpirun -n 12 --hostfile "$PBS_NODEFILE" --map-by ppr:3:node:PE=16 --bind-to core \
    "$crossrx" transfer "$deck" --threads 16 --max-hours "$hours" --out "$out" &

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
        echo "$(date -u +%FT%TZ) complete: $out"
        ;;
    75)
        echo "$(date -u +%FT%TZ) stopped before the end; to go on: qsub this script again, in $PWD"
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
