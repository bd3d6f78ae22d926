#!/usr/bin/env bash
# Starts an MPI program on this machine, whichever MPI it has: scripts/mpirun.sh -n RANKS PROGRAM [ARGS...]
#
# For the demo and the tests, on laptops, in containers and inside a job; job scripts call their site's own
# launcher. CROSSRX_MPIRUN names another launcher, with its options: CROSSRX_MPIRUN="srun --mpi=pmix".
set -euo pipefail

if [ $# -lt 3 ] || [ "$1" != -n ]; then
    echo "usage: scripts/mpirun.sh -n RANKS PROGRAM [ARGS...]" >&2
    exit 2
fi

if [ -n "${CROSSRX_MPIRUN:-}" ]; then
    read -ra launcher <<<"$CROSSRX_MPIRUN"
elif command -v mpirun >/dev/null; then
    launcher=(mpirun)
elif command -v mpiexec >/dev/null; then
    launcher=(mpiexec)
else
    echo "mpirun.sh: no mpirun or mpiexec on PATH: run 'make deps', load the MPI module, or set CROSSRX_MPIRUN" >&2
    exit 127
fi

in_a_job() { [ -n "${SLURM_JOB_ID:-}${PBS_JOBID:-}${LSB_JOBID:-}${FLUX_JOB_ID:-}" ]; }

# MPICH and Intel MPI need none of this: they start as root, oversubscribe and leave ranks unbound by themselves.
version=$("${launcher[0]}" --version 2>/dev/null </dev/null || true)
if [[ "$version" == *"Open MPI"* || "$version" == *OpenRTE* ]]; then
    if [ "$(id -u)" = 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    if ! in_a_job; then
        # More ranks than cores is what a test on a small machine is. Binding would put every rank's threads
        # on one core, and concurrent tests all on the first one. (OMPI_ for Open MPI 4, PRTE_ for 5.)
        export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
        export OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none
        # One machine needs no remote shell, and minimal containers have none.
        command -v ssh >/dev/null || command -v rsh >/dev/null || export OMPI_MCA_plm=isolated
    fi
    # Containers forbid reading another process's memory, and Open MPI 4 complains at each message.
    export OMPI_MCA_btl_vader_single_copy_mechanism="${OMPI_MCA_btl_vader_single_copy_mechanism:-none}"
    # No word about fabrics that are not there, nor about PMIx's locks on container file systems.
    export OMPI_MCA_btl_base_warn_component_unused=0 OMPI_MCA_mca_base_component_show_load_errors=0
    export PMIX_MCA_gds="${PMIX_MCA_gds:-hash}"
fi

exec "${launcher[@]}" "$@"
