#!/usr/bin/env bash
# Finds what this machine lacks to build crossrx, and installs it or says how: scripts/deps.sh build|bundle|test|mpich|slurm
#
#   build   C compiler, MPI, serial HDF5 headers, libclang, Rust: all that the demo needs
#   bundle  the same, and patchelf
#   test    the same, a C++ compiler, and what the tests look with: Python with h5py, NVIDIA's compiler of kernels,
#           cargo-deny, shellcheck, Chromium
#   mpich   what a build needs, and MPICH beside the MPI that is there (MPICH_MPICC, MPICH_MPIRUN: its compiler and launcher)
#   slurm   what a build needs, and the daemons of Slurm and MUNGE, for tests that run them on this machine
#
# As root on a machine with apt it installs; elsewhere it prints the names for apt, dnf, Spack and environment
# modules, and fails. Where nothing is missing it is done at once and touches no network. MPI=no leaves MPI out;
# HDF5=bundled wants no HDF5 but the CMake that builds the one that comes with crossrx, from PyPI where it is too old.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-build}
case $purpose in
    build | bundle | test | mpich | slurm) ;;
    *) echo "usage: scripts/deps.sh build|bundle|test|mpich|slurm" >&2 && exit 2 ;;
esac
target=${CARGO_TARGET_DIR:-target}
cargo_deny_version=0.20.2

on_path() { command -v "$1" >/dev/null; }
any_file() { compgen -G "$1" >/dev/null; }

has_compiler() { on_path cc; }
# As the build script of the MPI bindings looks (build-probe-mpi): a Cray's module goes before any compiler.
has_mpi_library() {
    [ -n "${MPI_PKG_CONFIG:-}" ] || [ -e "${CRAY_MPICH_DIR:-/nowhere}/lib/pkgconfig/mpich.pc" ] || on_path "${MPICC:-mpicc}"
}
# Slurm's launcher is the only one on some clusters.
has_mpi() {
    has_mpi_library && { [ -n "${CROSSRX_MPIRUN:-}" ] || on_path mpirun || on_path mpiexec || on_path srun; }
}
# The launcher may have options behind it, as in CROSSRX_MPIRUN.
has_mpich() {
    local run=${MPICH_MPIRUN:-mpiexec.mpich}
    on_path "${MPICH_MPICC:-mpicc.mpich}" && on_path "${run%% *}"
}
# As HDF5 2 wants it.
has_cmake() {
    local version
    version=$("$1" --version 2>/dev/null | awk 'NR == 1 { print $3 }')
    [ -n "$version" ] && [ "$(printf '%s\n3.26\n' "$version" | sort -V | head -n 1)" = 3.26 ]
}
# These two look where the build scripts of hdf5-metno-sys and clang-sys look.
has_hdf5() {
    local include
    if [ -n "${HDF5_DIR:-}" ]; then
        any_file "$HDF5_DIR/include/H5pubconf*.h"
        return
    fi
    for include in $(pkg-config --cflags-only-I hdf5 2>/dev/null | sed 's/-I//g' || true); do
        any_file "$include/H5pubconf*.h" && return
    done
    any_file "/usr/include/H5pubconf*.h" || [ -e /usr/lib/x86_64-linux-gnu/hdf5/serial/libhdf5.so ]
}
has_libclang() {
    local directory library_path=${LD_LIBRARY_PATH:-}
    [ -n "${LIBCLANG_PATH:-}" ] && return
    for directory in $(llvm-config --libdir 2>/dev/null || true) ${library_path//:/ } /usr/lib /usr/lib64 \
        /usr/lib/*-linux-gnu /usr/lib/llvm*/lib /usr/lib64/llvm*/lib* /usr/local/lib /usr/local/llvm*/lib; do
        any_file "$directory/libclang[-.][0-9s]*" || continue
        # The library alone, as a runtime dependency of some program, lacks the headers that it parses with.
        on_path clang || any_file "$directory/clang/*/include/stddef.h" ||
            any_file "/usr/lib*/clang/*/include/stddef.h" && return
    done
    return 1
}
has_chromium() {
    [ -n "${CHROMIUM:-}" ] || on_path chromium || on_path chromium-browser || on_path google-chrome
}
has_python_with_venv() { python3 -c 'import venv, ensurepip' 2>/dev/null; }
has_python() { [ -n "${CROSSRX_PYTHON:-}" ] || has_python_with_venv; }
# Daemons lie where the PATH of a user need not lead.
has_slurm() {
    local PATH=$PATH:/usr/sbin:/sbin
    on_path slurmctld && on_path slurmd && on_path sbatch && on_path munged
}

find_missing() {
    missing=()
    has_compiler || missing+=(compiler)
    if [ "${HDF5:-}" != bundled ]; then
        has_hdf5 || missing+=(hdf5)
    elif ! has_cmake cmake && ! has_python_with_venv; then
        missing+=(cmake)
    fi
    if [ "${MPI:-yes}" != no ]; then
        [ "$purpose" = mpich ] || has_mpi || missing+=(mpi)
        has_libclang || missing+=(libclang)
    fi
    if [ "$purpose" = mpich ]; then
        has_mpich || missing+=(mpich)
    elif [ "$purpose" = slurm ]; then
        has_slurm || missing+=(slurm)
    fi
    if [ "$purpose" = bundle ] || [ "$purpose" = test ]; then
        on_path patchelf || missing+=(patchelf)
    fi
    if [ "$purpose" = test ]; then
        on_path "${CXX:-c++}" || missing+=(c++)
        has_python || missing+=(python)
        on_path h5dump || missing+=(h5dump)
        on_path shellcheck || missing+=(shellcheck)
        has_chromium || missing+=(chromium)
    fi
}

# row THING: its names for apt | dnf | Spack | environment modules; - where there is none.
row() {
    case $1 in
        compiler) echo "gcc libc6-dev              |gcc glibc-devel      |gcc       |gcc" ;;
        c++)      echo "g++                        |gcc-c++              |gcc       |gcc" ;;
        hdf5)     echo "libhdf5-dev pkg-config     |hdf5-devel           |hdf5~mpi  |hdf5" ;;
        mpi)      echo "openmpi-bin libopenmpi-dev |openmpi openmpi-devel|openmpi   |openmpi" ;;
        mpich)    echo "mpich libmpich-dev         |mpich mpich-devel    |mpich     |mpich" ;;
        cmake)    echo "cmake python3 python3-venv |cmake                |cmake     |cmake" ;;
        libclang) echo "libclang-dev               |clang-devel          |llvm+clang|llvm" ;;
        patchelf) echo "patchelf                   |patchelf             |patchelf  |patchelf" ;;
        python)   echo "python3 python3-venv       |python3              |python    |python" ;;
        h5dump)   echo "hdf5-tools                 |hdf5                 |hdf5~mpi  |hdf5" ;;
        slurm)    echo "slurm-wlm munge            |slurm-slurmctld slurm-slurmd munge|slurm munge|-" ;;
        shellcheck) echo "shellcheck               |ShellCheck           |-         |-" ;;
        chromium) echo "$apt_chromium              |chromium             |-         |-" ;;
    esac
}
apt_chromium=chromium

# names COLUMN: what the missing things are called there, on one line.
names() {
    local thing
    for thing in "${missing[@]}"; do row "$thing"; done | cut -d '|' -f "$1" | tr -s ' ' '\n' |
        awk 'NF && $1 != "-" && !seen[$1]++ { printf "%s%s", gap, $1; gap = " " }'
}

explain() {
    {
        echo "missing: ${missing[*]}"
        echo "  apt:     sudo apt-get install $(names 1)"
        echo "  dnf:     sudo dnf install $(names 2)    # on RHEL and its kin with EPEL and CRB enabled"
        [[ " ${missing[*]} " != *" mpi "* ]] || echo "           module load mpi/openmpi-x86_64"
        [ -z "$(names 3)" ] || echo "  Spack:   spack install $(names 3) && spack load $(names 3)"
        [ -z "$(names 4)" ] || echo "  modules: module load $(names 4)    # names differ between sites: module avail"
        if [[ " ${missing[*]} " == *" hdf5 "* ]]; then
            echo "An HDF5 elsewhere: export HDF5_DIR=PREFIX, which holds include/H5pubconf.h and lib/libhdf5.so,"
            echo "  and export LD_LIBRARY_PATH=PREFIX/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} for when it runs"
            if on_path h5cc && [[ "$(h5cc -showconfig 2>/dev/null)" =~ "Installation point: "([^$'\n']+) ]]; then
                echo "  (h5cc on PATH belongs to: export HDF5_DIR=${BASH_REMATCH[1]})"
            fi
        fi
        if [[ " ${missing[*]} " == *" libclang "* ]]; then
            echo "A libclang elsewhere: export LIBCLANG_PATH=DIRECTORY, which holds libclang.so"
        fi
        if [[ " ${missing[*]} " == *" mpi "* ]]; then
            echo "For one process without MPI: make build MPI=no"
        fi
        if [[ " ${missing[*]} " == *" mpich "* ]]; then
            echo "By other names than Debian's (${MPICH_MPICC:-mpicc.mpich}, ${MPICH_MPIRUN:-mpiexec.mpich}): make test-mpich MPICH_MPICC=... MPICH_MPIRUN=..."
        fi
        echo "Then run make again."
    } >&2
}

install_with_apt() {
    apt-get update -q
    # Ubuntu has Chromium as a snap only, which containers cannot run.
    apt-cache show chromium >/dev/null 2>&1 || apt_chromium=-
    echo "installing: $(names 1)"
    # shellcheck disable=SC2046 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(names 1)
}

find_missing
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && on_path apt-get; then
        install_with_apt
        hash -r
        find_missing
    fi
    # Without a browser its one test says that it was skipped; everything else can still be tested.
    if [ "${missing[*]:-}" = chromium ] && [ -z "${CI:-}" ]; then
        echo "note: no Chromium on PATH (or in CHROMIUM): the browser test of the report will be skipped" >&2
    elif [ ${#missing[@]} -gt 0 ]; then
        explain
        exit 1
    fi
fi

wanted_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# A distribution's own is often too old, and what cargo then says of the edition helps nobody.
rust=$(cargo --version 2>/dev/null | awk '{ print $2 }' || true)
if [ "$(printf '%s\n%s\n' "${rust:-0}" "$wanted_rust" | sort -V | head -n 1)" != "$wanted_rust" ]; then
    echo "missing: Rust $wanted_rust or later${rust:+, not $rust}; install it with rustup (https://rustup.rs), then run make again" >&2
    exit 1
fi

# The build script of the MPI bindings does not see that MPI has become another: by MPICC, or by a module.
if [ "${MPI:-yes}" != no ] && [ "$purpose" != mpich ]; then
    mpi="${MPI_PKG_CONFIG:-}${CRAY_MPICH_DIR:-}"
    [ -n "$mpi" ] || mpi=$("${MPICC:-mpicc}" -show 2>/dev/null || true)
    if [ -n "$mpi" ]; then
        mkdir -p "$target"
        if [ -e "$target/mpi.txt" ] && [ "$(cat "$target/mpi.txt")" != "$mpi" ]; then
            echo "MPI is another than that of the last build: its bindings are built anew"
            cargo clean -q -p mpi-sys
            cargo clean -q --release -p mpi-sys
        fi
        echo "$mpi" >"$target/mpi.txt"
    fi
fi

if [ "${HDF5:-}" = bundled ] && ! has_cmake cmake && ! has_cmake "$target/cmake/path/cmake"; then
    echo "installing into $target/cmake: cmake"
    python3 -m venv "$target/cmake"
    "$target/cmake/bin/python" -m pip install -q --disable-pip-version-check 'cmake>=3.26'
    # In a folder without that Python, which goes before others on PATH.
    mkdir -p "$target/cmake/path"
    ln -sf ../bin/cmake "$target/cmake/path/cmake"
fi
[ "$purpose" = test ] || exit 0

for component in fmt clippy; do
    on_path "cargo-$component" && continue
    echo "missing: cargo $component; run: rustup component add rustfmt clippy" >&2
    exit 1
done

wanted=scripts/test-requirements.txt
if [ -z "${CROSSRX_PYTHON:-}" ] && ! cmp -s "$wanted" "$target/venv/installed.txt"; then
    echo "installing into $target/venv: $(tr '\n' ' ' <"$wanted")"
    rm -rf "$target/venv"
    python3 -m venv "$target/venv"
    "$target/venv/bin/python" -m pip install -q --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$target/venv/installed.txt"
fi

# Unoptimised, as it then builds in a third of the time and still checks in a second.
if ! on_path cargo-deny && [ ! -x "$target/tools/bin/cargo-deny" ]; then
    echo "installing into $target/tools: cargo-deny $cargo_deny_version"
    cargo install -q --locked --debug --config profile.dev.debug=0 --root "$target/tools" \
        --target-dir "$target/tools/build" "cargo-deny@$cargo_deny_version"
    rm -rf "$target/tools/build"
fi
