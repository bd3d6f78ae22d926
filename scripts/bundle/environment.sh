# Sets what the programs of a bundle find their own files by; $home is the bundle's folder.
# shellcheck shell=sh disable=SC2154

# A site's own MPI may have set these for itself.
unset OPAL_DESTDIR OPAL_LIBDIR OPAL_DATADIR PMIX_PREFIX
export OPAL_PREFIX="$home" OPAL_BINDIR="$home/libexec" OPAL_SYSCONFDIR="$home/etc"
export OPAL_PKGLIBDIR="$home/lib/openmpi" OPAL_PKGDATADIR="$home/share/openmpi"
export PMIX_PKGLIBDIR="$home/lib/pmix" PMIX_SYSCONFDIR="$home/etc"
# Shared memory, and TCP between machines: fabrics are not in the bundle.
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp
# Containers forbid reading another process's memory, and Open MPI 4 complains at each message.
export OMPI_MCA_btl_vader_single_copy_mechanism="${OMPI_MCA_btl_vader_single_copy_mechanism:-none}"
# One process without mpirun needs no daemon of its own.
export OMPI_MCA_ess_singleton_isolated=1
export OMPI_MCA_btl_base_warn_component_unused=0 OMPI_MCA_mca_base_component_show_load_errors=0
export PMIX_MCA_gds="${PMIX_MCA_gds:-hash}"
# PMIx 4 asks for it, and crashes where there is none and the user has no name, as in bare containers.
export HOME="${HOME:-/}"
