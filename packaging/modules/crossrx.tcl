#%Module
# crossrx for Environment Modules. `make install` puts this file at PREFIX/share/modulefiles/crossrx/VERSION, from
# where it finds PREFIX. To keep it elsewhere, copy it there under the version's name and write the prefix here instead:
set prefix [file normalize [file dirname $ModulesCurrentModulefile]/../../..]

module-whatis "crossrx: trains drug-response networks on one screen and scores them on every other, over MPI"
proc ModulesHelp {} {
    puts stderr "crossrx trains drug-response networks data-parallel over MPI."
    puts stderr ""
    puts stderr "  crossrx --help, man crossrx             commands and options"
    puts stderr "  source <(crossrx completions bash)      completion of both, here in bash"
    puts stderr "  \$CROSSRX_ROOT/share/crossrx             example decks and job scripts"
    puts stderr ""
    puts stderr "Start it by the launcher of the MPI that it was built with."
}

# Sites whose MPI and HDF5 are modules: those that crossrx was built with, so that its libraries are found.
# module load openmpi hdf5

conflict crossrx
setenv CROSSRX_ROOT $prefix
prepend-path PATH $prefix/bin
prepend-path MANPATH $prefix/share/man
# The empty part stands for the system's own pages.
append-path MANPATH {}
