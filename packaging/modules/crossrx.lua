-- crossrx for Lmod. `make install` puts this file at PREFIX/share/modulefiles/crossrx/VERSION.lua, from where it
-- finds PREFIX. To keep it elsewhere, copy it there under the version's name and write the prefix here instead:
local prefix = myFileName():gsub("/share/modulefiles/crossrx/[^/]*$", "")

whatis("Name: crossrx")
whatis("Version: " .. myModuleVersion())
whatis("Category: cancer drug response, machine learning, MPI")
whatis("Description: trains drug-response networks on one screen and scores them on every other")
help([[
crossrx trains drug-response networks data-parallel over MPI.

  crossrx --help, man crossrx             commands and options
  source <(crossrx completions bash)      completion of both, here in bash
  $CROSSRX_ROOT/share/crossrx             example decks and job scripts

Start it by the launcher of the MPI that it was built with.
]])

-- Sites whose MPI and HDF5 are modules: those that crossrx was built with, so that its libraries are found.
-- depends_on("openmpi")
-- depends_on("hdf5")

conflict("crossrx")
setenv("CROSSRX_ROOT", prefix)
prepend_path("PATH", pathJoin(prefix, "bin"))
prepend_path("MANPATH", pathJoin(prefix, "share/man"))
-- The empty part stands for the system's own pages.
append_path("MANPATH", "")
