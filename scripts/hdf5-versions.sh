#!/usr/bin/env bash
# Tests stores and importers on the HDF5 that comes with crossrx, then has stores that each HDF5 wrote, this machine's
# and that one, read by the other: scripts/hdf5-versions.sh      (make test-hdf5)
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
work=$target/hdf5-versions
rm -rf "$work"
mkdir -p "$work"
# The Python that has h5py, as in cargo-test.sh.
if [ -z "${CROSSRX_PYTHON:-}" ] && [ -x "$target/venv/bin/python" ]; then
    export CROSSRX_PYTHON=$target/venv/bin/python
fi
fail() { echo "hdf5-versions.sh: $*" >&2 && exit 1; }

# (The tests build the program too, as `make test` does, so that nothing is built twice.)
# With an HDF5_DIR that one would be linked, not built. One process is enough: MPI writes no file.
(
    unset HDF5_DIR
    export PATH="$target/cmake/path:$PATH"
    cargo test --locked --no-default-features --features static-hdf5 --test store --test import
    cp "$target/debug/crossrx" "$work/bundled"
)
cargo test --locked --no-default-features --test store --no-run
cp "$target/debug/crossrx" "$work/system"

for build in bundled system; do
    crossrx=$work/$build
    "$crossrx" synth --preset demo --seed 1 --out "$work/$build.h5" >/dev/null
    "$crossrx" transfer configs/demo.toml --set store.path="\"$work/$build.h5\"" --set train.epochs=1 \
        --set 'data.sources=["Alpha"]' --set 'data.targets=["Alpha"]' --out "$work/$build-run" 2>/dev/null >/dev/null
    sed -n 's/.*"HDF5": *"\([^"]*\)".*/\1/p' "$work/$build-run/run.json" >"$work/$build.version"
done
[ "$(cat "$work/bundled.version")" != "$(cat "$work/system.version")" ] ||
    fail "both builds have HDF5 $(cat "$work/system.version")"
for writer in bundled system; do
    for reader in bundled system; do
        # Every byte is read and compared with the checksums in the store.
        "$work/$reader" inspect --verify --json "$work/$writer.h5" >"$work/$writer-by-$reader.json"
    done
    cmp "$work/$writer-by-bundled.json" "$work/$writer-by-system.json"
    echo "a store of HDF5 $(cat "$work/$writer.version") is the same by $(cat "$work/bundled.version") and $(cat "$work/system.version")"
done
