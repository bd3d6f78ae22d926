#!/usr/bin/env bash
# Installs a built crossrx: scripts/install.sh BINARY PREFIX      (make install; DESTDIR goes before PREFIX)
#
#   PREFIX/bin/crossrx
#   PREFIX/share/man/man1/crossrx*.1
#   PREFIX/share/bash-completion/completions/, share/zsh/site-functions/, share/fish/vendor_completions.d/
#   PREFIX/share/modulefiles/crossrx/   for Lmod and Environment Modules: module use PREFIX/share/modulefiles
#   PREFIX/share/crossrx/               example decks, job scripts and the pages that they point to
#   PREFIX/share/licenses/crossrx/
#
# Nothing in it names PREFIX, so the tree may be moved. scripts/install.sh --remove PREFIX takes it all away.
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: scripts/install.sh BINARY PREFIX | --remove PREFIX" >&2
    exit 2
fi
fail() { echo "install.sh: $*" >&2 && exit 1; }
prefix=$2
# Else it would be the working folder, whose share/crossrx --remove would take away.
[ -n "$prefix" ] || fail "PREFIX is empty: PREFIX=/ is the root"
[[ "$prefix" == /* ]] || prefix=$PWD/$prefix
root=${DESTDIR:-}$prefix
share=$root/share

if [ "$1" = --remove ]; then
    rm -f "$root/bin/crossrx" "$share"/man/man1/crossrx.1 "$share"/man/man1/crossrx-*.1 \
        "$share/bash-completion/completions/crossrx" "$share/zsh/site-functions/_crossrx" \
        "$share/fish/vendor_completions.d/crossrx.fish"
    rm -rf "$share/crossrx" "$share/modulefiles/crossrx" "$share/licenses/crossrx"
    exit
fi

[ -x "$1" ] || fail "$1 is not there: run make build"
binary=$(readlink -f "$1")
cd "$(dirname "$0")/.."
version=$("$binary" --version | awk '{ print $2 }') || fail "$binary does not run: load the MPI and HDF5 that it was built with"

# As anybody may read it, whatever the umask.
umask 022
install -D -m 755 "$binary" "$root/bin/crossrx"
completions() {
    mkdir -p "$(dirname "$2")"
    "$binary" completions "$1" >"$2"
}
completions bash "$share/bash-completion/completions/crossrx"
completions zsh "$share/zsh/site-functions/_crossrx"
completions fish "$share/fish/vendor_completions.d/crossrx.fish"
"$binary" man "$share/man/man1" >/dev/null
install -D -m 644 packaging/modules/crossrx.lua "$share/modulefiles/crossrx/$version.lua"
install -D -m 644 packaging/modules/crossrx.tcl "$share/modulefiles/crossrx/$version"
for folder in configs jobscripts docs; do
    [ -d $folder ] || continue
    find $folder -type f -printf '%P\0' | while IFS= read -rd '' file; do
        mode=644
        [ ! -x "$folder/$file" ] || mode=755
        install -D -m $mode "$folder/$file" "$share/crossrx/$folder/$file"
    done
done
for licence in LICENSE-MIT LICENSE-APACHE; do
    install -D -m 644 $licence "$share/licenses/crossrx/$licence"
done
echo "$root/bin/crossrx"
