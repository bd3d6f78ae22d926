#!/usr/bin/env bash
# Runs every test within a time limit and closes with one line of totals: scripts/cargo-test.sh [CARGO TEST ARGS...]
#
# TEST_MINUTES (45) bounds the whole run, building included. Where a test could not look (no browser, no real
# data), it says so on stderr with a line that starts with "skipped:"; those lines are repeated at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
minutes=${TEST_MINUTES:-45}
mkdir -p "$target"
target=$(cd "$target" && pwd)
log=$target/test.log

# The interpreter that has h5py; set beforehand, it replaces the one that `make test` installs.
if [ -z "${CROSSRX_PYTHON:-}" ] && [ -x "$target/venv/bin/python" ]; then
    export CROSSRX_PYTHON=$target/venv/bin/python
fi

# At a terminal the run stays in the foreground, so that Ctrl-C reaches it.
limit=(timeout --kill-after=30s)
if [ -t 0 ]; then limit+=(--foreground); fi
if [ -t 1 ]; then export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-always}"; fi

status=0
"${limit[@]}" "${minutes}m" cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
if [ "$status" = 124 ] || [ "$status" = 137 ]; then
    echo "cargo-test.sh: the tests did not end within $minutes minutes (TEST_MINUTES)" >&2
fi

grep -ao 'skipped: .*' "$log" | sort -u || true
read -r passed failed ignored < <(awk '
    /test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) passed += $(i - 1)
            if ($i ~ /^failed/) failed += $(i - 1)
            if ($i ~ /^ignored/) ignored += $(i - 1)
        }
    }
    END { print passed + 0, failed + 0, ignored + 0 }' "$log")
if [ "$status" = 0 ] && { [ "$passed" = 0 ] || [ "$failed" != 0 ]; }; then status=1; fi
echo "$passed passed, $failed failed, $ignored skipped"
exit "$status"
