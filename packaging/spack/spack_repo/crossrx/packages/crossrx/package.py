# SPDX-License-Identifier: (Apache-2.0 OR MIT)

from pathlib import Path

from spack_repo.builtin.build_systems.cargo import CargoPackage

from spack.package import *


class Crossrx(CargoPackage):
    """Trains cancer drug-response networks data-parallel over MPI on one drug screen, and scores them on
    every other."""

    # What is built is the clone that this recipe lies in. In a collection of packages the address of the
    # repository stands here.
    git = Path(__file__).resolve().parents[6].as_uri()

    license("MIT OR Apache-2.0")

    version("main", branch="main")

    variant("mpi", default=True, description="Train on many ranks; without it on one process")
    variant(
        "cuda",
        default=True,
        description="Train on NVIDIA GPUs where there are any: driver, NVRTC, cuBLASLt and NCCL are found "
        "when it runs, so that none is needed to build it",
    )

    depends_on("c", type="build")
    depends_on("rust@1.89:", type="build")
    # Serial: ranks read files of their own accord, by plain reads. Versions before 1.10.3 are too old, and
    # the bindings know none after 2.2.
    depends_on("hdf5@1.10.3:2.2 ~mpi")
    depends_on("mpi", when="+mpi")
    # bindgen reads mpi.h by libclang.
    depends_on("llvm +clang", type="build", when="+mpi")

    def setup_build_environment(self, env: EnvironmentModifications) -> None:
        # Else the build scripts would look elsewhere first. Spack's compiler wrapper, by which rustc links, adds the
        # run paths of both libraries.
        env.set("HDF5_DIR", self.spec["hdf5"].prefix)
        if self.spec.satisfies("+mpi"):
            env.set("MPICC", self.spec["mpi"].mpicc)
            env.set("LIBCLANG_PATH", self.spec["llvm"].prefix.lib)

    @property
    def build_args(self):
        features = [name for name in ("mpi", "cuda") if self.spec.satisfies(f"+{name}")]
        return ["--locked", "--no-default-features", "--features", ",".join(features)]

    @property
    def check_args(self):
        # What is not about ranks: a build has no launcher to count on.
        return [*self.build_args, "--lib", "--test", "store"]

    def install(self, spec, prefix):
        # Manual pages, completions and examples with the program.
        Executable("./scripts/install.sh")("out/bin/crossrx", prefix)

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def trains_a_made_up_corpus(self):
        crossrx = Executable(self.prefix.bin.crossrx)
        with working_dir(self.stage.path):
            crossrx("synth", "--preset", "demo", "--out", "demo.h5")
            deck = join_path(self.prefix.share, "crossrx", "configs", "demo.toml")
            crossrx("transfer", deck, "--set", "store.path=demo.h5", "--set", "train.epochs=1", "--out", "run")
