#!/bin/bash -l
# crossrx jobscript slurm made this by
#   crossrx jobscript slurm configs/csa.toml --nodes 4 --ranks-per-node 3 --cores-per-node 48 --hours 4 --account my_project --queue standard --module openmpi --module hdf5
# Save it and submit it by sbatch. Paths are relative to the folder that it is done in.
#
# configs/csa.toml: 40 tasks (4 sources x 10 splits) on 12 ranks, 12 groups of 1 rank, each a few one after
# the other.

#SBATCH --job-name=csa
#SBATCH --account=my_project
#SBATCH --partition=standard
#SBATCH --time=04:00:00
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=3
# A rank's own cores, of which one hardware thread each is counted and used.
#SBATCH --cpus-per-task=16
#SBATCH --threads-per-core=1
# The log: of name and number, in the folder of submission.
#SBATCH --output=%x-%j.out
# 600 s before the time is up, SIGUSR1 to the shell of this script (B:), which handles it below. Slurm may
# send it up to a minute earlier.
#SBATCH --signal=B:USR1@600
# Without --requeue Slurm does not start it again by itself, as most sites have it do (JobRequeue).
#SBATCH --no-requeue

# Before strict mode, which the functions behind `module` are not made for.
module load openmpi || exit 1
module load hdf5 || exit 1

set -euo pipefail
cd -- "${SLURM_SUBMIT_DIR:?submit this script with sbatch}"

job=$SLURM_JOB_ID
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
srun --nodes=4 --ntasks=12 --ntasks-per-node=3 --cpus-per-task=16 --cpu-bind=cores \
    --kill-on-bad-exit=0 --wait=60 "$crossrx" transfer "$deck" --threads 16 --out "$out" &

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
