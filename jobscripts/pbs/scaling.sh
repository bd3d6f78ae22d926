#!/bin/bash
# crossrx jobscript pbs made this by
#   crossrx jobscript pbs configs/csa.toml --scaling --mode weak --nodes 4 --ranks-per-node 8 --cores-per-node 64 --hours 0.5 --account my_project --set train.batch=128
# Save it and submit it by qsub. Paths are relative to the folder that it is done in.
#
# configs/csa.toml: its first training for some steps on 1, 2, 4, ... and all of 32 ranks in turn, weak
# scaling.

#PBS -N csa-scaling
#PBS -S /bin/bash
#PBS -A my_project
#PBS -l walltime=00:30:00
# A chunk is a node's part: its cores, its ranks (mpiprocs, lines of $PBS_NODEFILE) and its GPUs.
#PBS -l select=4:ncpus=64:mpiprocs=8
# Each chunk on a node of its own; scatter:excl keeps other jobs off it.
#PBS -l place=scatter
# One log of both streams, written where it can be read while the job runs (k: d needs PBS 18 or later).
#PBS -j oe
#PBS -k doe
# Without --requeue PBS does not start it again by itself.
#PBS -r n

set -euo pipefail
# PBS starts in the home folder.
cd -- "${PBS_O_WORKDIR:?submit this script with qsub}"

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
for program in "$crossrx" mpirun; do
    if ! command -v "$program" >/dev/null; then
        echo "$(hostname): no $program on PATH: load its module (--module) or set PATH" >&2
        exit 1
    fi
done
mkdir -p -- "$(dirname -- "$out")"

echo "$(date -u +%FT%TZ) job $PBS_JOBID, deck $deck on $(hostname)"
{ "$crossrx" --version; mpirun --version || true; } 2>&1 | sed -n 1,2p

# Open MPI: so many ranks a node, each bound to PE cores of its own.
# A thread a core: a rank bound to whole cores sees both hardware threads of each, and would take all of them.
mpirun -n 32 --hostfile "$PBS_NODEFILE" --map-by ppr:8:node:PE=8 --bind-to core "$crossrx" bench scaling "$deck" \
    --set train.batch=128 --ranks 1,2,4,8,16,32 --mode weak --threads 8 --out "$out" </dev/null
echo "$(date -u +%FT%TZ) complete: $out"
