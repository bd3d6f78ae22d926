#!/bin/bash
# crossrx jobscript slurm made this by
#   crossrx jobscript slurm configs/csa.toml configs/ccle-dose.toml --nodes 1 --ranks-per-node 4 --cores-per-node 32 --hours 6 --account my_project --set store.path=csa.h5
# Save it and submit it by sbatch. Paths are relative to the folder that it is done in.
#
# configs/csa.toml: 40 tasks (4 sources x 10 splits) on 4 ranks, 4 groups of 1 rank, each some one after the
# other.
# configs/ccle-dose.toml: 1 task (1 source x 1 split) on 4 ranks, 1 group of 4 ranks.

#SBATCH --job-name=crossrx
#SBATCH --account=my_project
#SBATCH --time=06:00:00
# One element a deck, each a job of its own on as many nodes as told here; %N behind it allows N at once.
#SBATCH --array=0-1
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
# A rank's own cores, of which one hardware thread each is counted and used.
#SBATCH --cpus-per-task=8
#SBATCH --threads-per-core=1
# The log: of name and number, in the folder of submission.
#SBATCH --output=%x-%A_%a.out
# 600 s before the time is up, SIGUSR1 to the shell of this script (B:), which handles it below. Slurm may
# send it up to a minute earlier.
#SBATCH --signal=B:USR1@600
# Without --requeue Slurm does not start it again by itself, as most sites have it do (JobRequeue).
#SBATCH --no-requeue

set -euo pipefail
cd -- "${SLURM_SUBMIT_DIR:?submit this script with sbatch}"

# One element of the array has a number of its own, which scontrol knows it by.
job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
# One study an element of the array.
element=$SLURM_ARRAY_TASK_ID
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
for program in "$crossrx" srun; do
    if ! command -v "$program" >/dev/null; then
        echo "$(hostname): no $program on PATH: load its module (--module) or set PATH" >&2
        exit 1
    fi
done
mkdir -p -- "$(dirname -- "$out")"

echo "$(date -u +%FT%TZ) job $job, restart ${SLURM_RESTART_COUNT:-0}, nodes $SLURM_JOB_NODELIST, deck $deck on $(hostname)"
{ "$crossrx" --version; srun --version || true; } 2>&1 | sed -n 1,2p

# srun does not take the cores of a rank over from sbatch (since Slurm 22.05), so they are told again. Ranks
# that leave with 75 have not failed, whatever the site makes of exit codes: --kill-on-bad-exit=0; but a rank
# that is gone ends the job a minute later: --wait.
# How srun and the MPI library talk is the site's MpiDefault, PMIx where that is none. Where it is wrong,
# ranks do not see one another, and crossrx says so: SLURM_MPI_TYPE=pmix for Open MPI, pmi2 for many builds of
# MPICH; `srun --mpi=list` shows what there is.
if [ -z "${SLURM_MPI_TYPE:-}" ] && scontrol show config | grep '^MpiDefault *= *none' >/dev/null; then
    export SLURM_MPI_TYPE=pmix
fi
# A thread a core: a rank bound to whole cores sees both hardware threads of each, and would take all of them.
srun --nodes=1 --ntasks=4 --ntasks-per-node=4 --cpus-per-task=8 --cpu-bind=cores \
    --kill-on-bad-exit=0 --wait=60 "$crossrx" transfer "$deck" --set store.path=csa.h5 \
    --threads 8 --out "$out" &

# Slurm tells this shell (--signal=B:) that the time is nearly up, and nobody else. The launcher runs in the
# background, as bash would wait for a command in the foreground before it acts; it passes SIGUSR1 on to the
# ranks, which stop at the same step with checkpoints, and all ends with exit code 75. SIGTERM is passed on as
# SIGUSR1, for launchers answer it by killing.
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
        echo "$(date -u +%FT%TZ) stopped before the end; to go on: sbatch this script again, in $PWD"
        ;;
    *)
        # A launcher that was itself sent SIGTERM, as a whole job is, ends with a code of its own.
        case $told in
            '' | USR1) echo "$(date -u +%FT%TZ) failed with exit code $code: see the lines above" >&2 ;;
            *) echo "$(date -u +%FT%TZ) ended by SIG$told with exit code $code; to go on: sbatch this script again, in $PWD" >&2 ;;
        esac
        ;;
esac
exit "$code"
