#!/bin/bash
# crossrx jobscript slurm made this by
#   crossrx jobscript slurm configs/csa.toml --scaling --nodes 4 --ranks-per-node 8 --cores-per-node 64 --hours 0.5 --account my_project --set train.batch=4096
# Save it and submit it by sbatch. Paths are relative to the folder that it is done in.
#
# configs/csa.toml: its first training for some steps on 1, 2, 4, ... and all of 32 ranks in turn, strong
# scaling.

#SBATCH --job-name=csa-scaling
#SBATCH --account=my_project
#SBATCH --time=00:30:00
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
# A rank's own cores, of which one hardware thread each is counted and used.
#SBATCH --cpus-per-task=8
#SBATCH --threads-per-core=1
# The log: of name and number, in the folder of submission.
#SBATCH --output=%x-%j.out
# Without --requeue Slurm does not start it again by itself, as most sites have it do (JobRequeue).
#SBATCH --no-requeue

set -euo pipefail
cd -- "${SLURM_SUBMIT_DIR:?submit this script with sbatch}"

job=$SLURM_JOB_ID
deck=configs/csa.toml
store=csa.h5
out=scaling/csa
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
srun --nodes=4 --ntasks=32 --ntasks-per-node=8 --cpus-per-task=8 --cpu-bind=cores \
    --kill-on-bad-exit=0 --wait=60 "$crossrx" bench scaling "$deck" --set train.batch=4096 \
    --ranks 1,2,4,8,16,32 --mode strong --threads 8 --out "$out" </dev/null
echo "$(date -u +%FT%TZ) complete: $out"
