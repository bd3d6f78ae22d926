#!/bin/bash
# crossrx jobscript local made this by
#   crossrx jobscript local configs/csa.toml --ranks-per-node 4
# Save it and start it with bash; started again after a stop, a crash or a power cut, it goes on. Paths are
# relative to the folder that it is done in.
#
# configs/csa.toml: 40 tasks (4 sources x 10 splits) on 4 ranks, 4 groups of 1 rank, each some one after the
# other.

set -euo pipefail

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

echo "$(date -u +%FT%TZ) deck $deck on $(hostname)"
{ "$crossrx" --version; mpirun --version || true; } 2>&1 | sed -n 1,2p

# A rank gets an even share of the node's cores; two hardware threads of a core share its units of arithmetic,
# so cores are what counts. (--cores-per-node tells them beforehand.)
cores=$(lscpu --online --parse=CORE,SOCKET,NODE | grep -v '^#' | sort -u | wc -l)
cores=$((cores / 4 > 0 ? cores / 4 : 1))

# Open MPI: so many ranks a node, each bound to PE cores of its own.
# In a session of its own (setsid): the terminal sends Ctrl-C to all of its own, and launchers answer that by
# killing the ranks.
# A thread a core: a rank bound to whole cores sees both hardware threads of each, and would take all of them.
setsid mpirun -n 4 --map-by ppr:4:node:PE="$cores" --bind-to core "$crossrx" transfer "$deck" \
    --threads "$cores" --out "$out" &

# Ctrl-C or a signal is passed on to the launcher, which runs in the background, as SIGUSR1: the ranks stop at
# the same step with checkpoints, and all ends with exit code 75. A second one kills.
told='' launcher=$!
trap 'told=${told:-USR1} heard=yes; kill -USR1 "$launcher" || true' USR1
trap 'told=TERM heard=yes; kill -USR1 "$launcher" || true' TERM
trap 'told=INT heard=yes; kill -USR1 "$launcher" || true' INT

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
        echo "$(date -u +%FT%TZ) stopped before the end; to go on: start this script again"
        ;;
    *)
        # A launcher that was itself sent SIGTERM, as a whole job is, ends with a code of its own.
        case $told in
            '' | USR1) echo "$(date -u +%FT%TZ) failed with exit code $code: see the lines above" >&2 ;;
            *) echo "$(date -u +%FT%TZ) ended by SIG$told with exit code $code; to go on: start this script again" >&2 ;;
        esac
        ;;
esac
exit "$code"
