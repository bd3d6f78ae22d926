#!/usr/bin/env bash
# Collects a built crossrx and all that it needs beside the C library: scripts/bundle.sh BINARY FOLDER
#
#   FOLDER/crossrx-VERSION-ARCH/    bin/crossrx  bin/mpirun  lib/  libexec/  share/
#   FOLDER/crossrx-VERSION-ARCH.tar.gz
#
# It runs wherever it is unpacked, on a machine with no MPI and no HDF5, whose C library is no older than this
# machine's. Every program and library in it finds the others by a path relative to itself. Of Open MPI 4 come
# the launcher and those components that need no fabric: ranks of one machine meet in shared memory, ranks of
# several by TCP. With another MPI its library comes, and the launcher is the other machine's own. What talks to a
# GPU is never in it: the driver, NVRTC, cublasLt and NCCL are found where it runs.
set -euo pipefail
cd "$(dirname "$0")/.."
# As anybody may read what is unpacked, whatever the umask.
umask 022

if [ $# -ne 2 ]; then
    echo "usage: scripts/bundle.sh BINARY FOLDER" >&2
    exit 2
fi
binary=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)

fail() { echo "bundle.sh: $*" >&2 && exit 1; }
[ -x "$binary" ] || fail "$binary is not there: run make build"
command -v patchelf >/dev/null || fail "patchelf is missing: install it (apt-get install patchelf), or run make bundle as root"

version=$("$binary" --version | awk '{ print $2 }')
name=crossrx-$version-$(uname -m)
# What is there is replaced by a whole bundle, or stays.
work=$(mktemp -d "$folder/.bundle.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/$name
mkdir -p "$root"/{bin,lib,libexec,share/crossrx,share/licenses}
# Manual pages, completions, module files, licences and examples, as `make install` has them.
DESTDIR='' scripts/install.sh "$binary" "$root" >/dev/null

# needs FILE...: the libraries that these need, by path, and by theirs; what is not found is named.
needs() {
    local file
    for file in "$@"; do ldd "$file"; done | awk '
        / => not found/ { print "not-found:" $1; next }
        $2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u
}
# The C library, its loader and the compiler's runtime come with the system; so does the driver of a GPU.
stays_out() {
    case ${1##*/} in
        ld-linux* | libc.so.* | libm.so.* | libmvec.so.* | libdl.so.* | libpthread.so.* | librt.so.* | \
            libresolv.so.* | libutil.so.* | libgcc_s.so.* | libstdc++.so.* | libcuda.so.* | libnvidia-*) true ;;
        *) false ;;
    esac
}
add_library() {
    local to=$root/lib/${1##*/}
    [ -e "$to" ] || install -m 644 "$1" "$to"
}
add_libraries_of() {
    local path
    for path in $(needs "$@"); do
        [[ $path != not-found:* ]] || fail "${path#not-found:}, which ${1##*/} needs, is not on this machine"
        stays_out "$path" || add_library "$path"
    done
}
# Needs the library of a network that the other machine may not have, or has in a version of its own (libnl), which
# its own libraries of a fabric want.
needs_fabric() {
    [[ $(ldd "$1") =~ (not found|libuc[pst]\.|libfabric\.|libibverbs\.|librdmacm\.|libpsm|libportals|libugni|libnl-) ]]
}
# add_components FOLDER NAME: the loadable components of a library, into lib/NAME.
add_components() {
    local component
    [ -d "$1" ] || return 0
    mkdir -p "$root/lib/$2"
    for component in "$1"/*.so; do
        case ${component##*/} in
            # One-sided memory of OpenSHMEM, debuggers and monitors.
            mca_spml_* | mca_scoll_* | mca_sshmem_* | mca_memheap_* | mca_atomic_* | *_monitoring.so | libompi_dbg*) continue ;;
        esac
        needs_fabric "$component" && continue
        install -m 644 "$component" "$root/lib/$2/"
        add_libraries_of "$component"
    done
}

mv "$root/bin/crossrx" "$root/libexec/crossrx"
# Names of functions stay, for backtraces.
strip --strip-debug "$root/libexec/crossrx"
add_libraries_of "$binary"

launcher=no
info=$(command -v ompi_info || true)
if [ -e "$root/lib/libopen-rte.so.40" ] && [ -n "$info" ] && command -v orted >/dev/null; then
    launcher=yes
    where() { "$info" --parsable --path "$1" | sed -n "s/^path:$1://p"; }
    for program in orterun orted; do
        path=$(readlink -f "$(command -v $program)")
        install -m 755 "$path" "$root/libexec/$program"
        add_libraries_of "$path"
    done
    add_components "$(where pkglibdir)" openmpi
    mkdir -p "$root/share/openmpi"
    cp "$(where pkgdatadir)"/help-*.txt "$root/share/openmpi/"
    for pmix in $(needs "$root"/lib/openmpi/mca_pmix_*.so | grep '/libpmix\.so' || true); do
        add_components "$(dirname "$(readlink -f "$pmix")")/pmix" pmix
        break
    done
    cp scripts/bundle/mpirun "$root/bin/mpirun"
elif compgen -G "$root/lib/libmpi*" >/dev/null; then
    echo "bundle.sh: note: not Open MPI 4, so no mpirun comes with it: ranks are started by the other machine's, of the same MPI"
fi
cp scripts/bundle/crossrx "$root/bin/crossrx"
cp scripts/bundle/environment.sh "$root/libexec/environment.sh"

# shellcheck disable=SC2016 # for the loader, not the shell
origin='$ORIGIN'
# An old-style run path, which goes before LD_LIBRARY_PATH: another MPI found there would meet these components.
find "$root/lib" -mindepth 1 -maxdepth 1 -type f -exec patchelf --force-rpath --set-rpath "$origin" {} +
find "$root/lib" -mindepth 2 -type f -exec patchelf --force-rpath --set-rpath "$origin/.." {} +
find "$root/libexec" -type f ! -name '*.sh' -exec patchelf --force-rpath --set-rpath "$origin/../lib" {} +

# As in the repository, so that the scripts find each other.
for path in tests/gpu benches/peer/gpu_step.py benches/peer/network.py; do
    mkdir -p "$root/share/crossrx/$(dirname "$path")"
    cp -r "$path" "$root/share/crossrx/$path"
done
find "$root/share/crossrx" -name __pycache__ -prune -exec rm -rf {} +
if command -v dpkg-query >/dev/null; then
    for library in "$root"/lib/*.so*; do
        dpkg-query -S "*/${library##*/}" 2>/dev/null | cut -d: -f1
    done | sort -u | while read -r package; do
        [ ! -e "/usr/share/doc/$package/copyright" ] ||
            cp -L "/usr/share/doc/$package/copyright" "$root/share/licenses/$package"
    done
fi

tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner -czf "$work/$name.tar.gz" "$name"
rm -rf "${folder:?}/$name"
mv "$root" "$folder/$name"
mv "$work/$name.tar.gz" "$folder/$name.tar.gz"
size() { du -m "$1" --apparent-size -s | cut -f1; }
echo "$folder/$name: $(size "$folder/$name") MiB, $(find "$folder/$name/lib" -type f | wc -l) libraries, mpirun: $launcher"
echo "$folder/$name.tar.gz: $(size "$folder/$name.tar.gz") MiB"
