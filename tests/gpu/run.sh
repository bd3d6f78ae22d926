#!/usr/bin/env bash
# Checks crossrx on this machine's GPU and measures it there: tests/gpu/run.sh [BUNDLE] [SECTION...]
#
# BUNDLE is a folder or .tar.gz that `make bundle` made, or a built crossrx; without it, the bundle that this script
# lies in. It needs a GPU with its driver, NVRTC and cublasLt of CUDA 12 or 13, and Python 3; no Rust, MPI or HDF5.
# PyTorch, for the peers, and compute-sanitizer are used where they are. Sections, all of them if none is named:
#
#   machine     what is there
#   ops         every op, whole networks, batches and ten steps, on the GPU against the processors
#   curve       ten training steps on the GPU against the processors' loss curve, in every precision
#   ranks       two ranks on one GPU against one rank, to the bit
#   bench       a step of the NCI60-sized network beside PyTorch's, in turns
#   sanitizer   the ops under compute-sanitizer
#
# Every section runs, whatever becomes of another; the exit code is 1 if one failed. Prints, and writes to
# gpu-results/ (or GPU_RESULTS, or OUT), table.md for benches/results/, check.json, bench.json and log.txt. It ends within
# GPU_MINUTES (8). GPU_PEERS ("bf16") are the precisions of the peers: each takes two minutes more to compile.
# CROSSRX_GPU_DRY=1 tries the script without a GPU: kernels on the host, small networks.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
results=${GPU_RESULTS:-${OUT:-gpu-results}}
python=${PYTHON:-python3}
dry=${CROSSRX_GPU_DRY:-}
ends=$(($(date +%s) + 60 * ${GPU_MINUTES:-8}))
sections=(machine ops curve ranks bench sanitizer)

usage() { echo "usage: tests/gpu/run.sh [BUNDLE] [${sections[*]}]" >&2 && exit 2; }
is_section() { [[ " ${sections[*]} " == *" $1 "* ]]; }

bundle=
if [ $# -gt 0 ] && ! is_section "$1"; then
    bundle=$1
    shift
fi
for name in "$@"; do is_section "$name" || usage; done
[ $# -eq 0 ] || sections=("$@")

mkdir -p "$results"
results=$(cd "$results" && pwd)
log=$results/log.txt
table=$results/table.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$log"

# As part of a bundle, this is BUNDLE/share/crossrx/tests/gpu/run.sh.
[ -n "$bundle" ] || bundle=$root/../..
case $bundle in
    *.tar.gz)
        tar -C "$work" -xzf "$bundle" || exit 2
        bundle=$(echo "$work"/crossrx-*)
        ;;
esac
if [ -x "$bundle/bin/crossrx" ]; then
    bundle=$(cd "$bundle" && pwd)
    crossrx=$bundle/bin/crossrx
    launcher=("$bundle/bin/mpirun" -n 2)
    [ -x "$bundle/bin/mpirun" ] || launcher=()
elif [ -f "$bundle" ] && [ -x "$bundle" ]; then
    crossrx=$(readlink -f "$bundle")
    launcher=("$root/scripts/mpirun.sh" -n 2)
    { command -v mpirun || command -v mpiexec; } >/dev/null || launcher=()
else
    echo "run.sh: $bundle is neither a bundle nor a program" >&2
    usage
fi

device=cuda
if [ -n "$dry" ]; then
    device=cuda-on-host
    log_dry=" (dry: kernels on the host)"
fi
# NVRTC, cublasLt and NCCL may be there only as Python's wheels, which then serve crossrx and PyTorch alike.
wheels=$("$python" - 2>/dev/null <<'PY'
import glob, site, sys
print(":".join(path for folder in sys.path if folder.endswith("packages") for path in sorted(glob.glob(f"{folder}/nvidia/*/lib"))))
PY
)
IFS=: read -ra folders <<<"$wheels:/usr/local/cuda/lib64"
for folder in "${folders[@]}"; do
    [ ! -d "$folder" ] || LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
export CROSSRX_CACHE=${CROSSRX_CACHE:-$work/cache}

rows=()
failed=0
# note RESULT WHAT DETAIL: a row of the table, told at once.
note() {
    local detail=${3//$'\n'/ }
    rows+=("| $2 | $1 | ${detail//|/\\|} |")
    printf '%-8s %s: %s\n' "$1" "$2" "$detail"
    [ "$1" != FAILED ] || failed=1
}
# limited SECONDS COMMAND...: runs it within the limit and the time that is left; its output goes to the log, and
# the last line of it to $last. On failure the end of the output is shown.
limited() {
    local limit=$1 left=$((ends - $(date +%s))) out=$work/out code=0 begun=$SECONDS
    shift
    if [ "$left" -lt 5 ]; then
        last="no time left (GPU_MINUTES)"
        return 1
    fi
    [ "$left" -ge "$limit" ] || limit=$left
    echo "+ $*" >>"$log"
    timeout --kill-after=5 "$limit" "$@" >"$out" 2>&1 </dev/null || code=$?
    cat "$out" >>"$log"
    echo "= exit code $code, $((SECONDS - begun)) s" >>"$log"
    # Of a failure, what it was; of success, its last word.
    last=$([ "$code" = 0 ] || grep -a -m 1 -i 'error: ' "$out" | cut -c 1-300)
    [ -n "$last" ] || last=$(grep -av '^[[:space:]]*$' "$out" | tail -n 1 | cut -c 1-300)
    if [ "$code" = 124 ] || [ "$code" = 137 ]; then last="not done in $limit s; ${last}"; fi
    if [ "$code" != 0 ]; then
        echo "--- $* ended with code $code:"
        tail -n 15 "$out" | cut -c 1-300
        echo "---"
    fi
    return "$code"
}
# checked SECONDS WHAT COMMAND...: a row of the table by how the command ends.
checked() {
    local limit=$1 what=$2 result=passed
    shift 2
    limited "$limit" "$@" || result=FAILED
    note "$result" "$what" "$last"
}

machine() {
    local query=name,driver_version,memory.total,compute_cap
    limited 20 nvidia-smi --query-gpu=$query --format=csv,noheader || last="no nvidia-smi"
    note - "GPU, driver, memory, architecture" "$last"
    limited 20 "$python" -c 'import sys, torch; print("Python", sys.version.split()[0], "PyTorch", torch.__version__, "CUDA", torch.version.cuda)' ||
        last="no PyTorch"
    note - "Python" "$last"
    checked 10 "crossrx" "$crossrx" --version
    limited 30 "$crossrx" devices
    local code=$?
    sed 's/^/    /' "$work/out"
    if [ -n "$dry" ]; then note skipped "crossrx devices" "$last"
    elif [ $code = 0 ]; then note passed "crossrx devices" "$last"
    else note FAILED "crossrx devices" "$last"; fi
}

ops() {
    checked 150 "ops, networks, batches and steps against the processors" "$crossrx" devices --check --device "$device" \
        --json "$results/check.json"
    # With what failed told first, for the table is long.
    { grep -a ' FAILED ' "$work/out"; tail -n 130 "$work/out"; } | cut -c 1-160 | sed 's/^/    /'
}

corpus() { [ -e "$work/demo.h5" ] || limited 30 "$crossrx" synth --preset demo --seed 1 --out "$work/demo.h5"; }
# train OUT DEVICE SETTINGS...: one training of the demo corpus, all its pairs in every step.
small=()
[ -z "$dry" ] || small=(--set model.drug_tower=[16] --set model.sample_tower=[16] --set model.head=[16,16])
train() {
    local out=$work/$1 on=$2
    shift 2
    limited "${seconds:-60}" ${before[@]+"${before[@]}"} "$crossrx" train "$root/configs/demo.toml" \
        --source Alpha --split 0 --out "$out" --device "$on" --set store.path="\"$work/demo.h5\"" \
        --set train.epochs=10 --set train.patience=10 --set train.batch=16384 \
        --set 'data.targets=["Alpha"]' ${small[@]+"${small[@]}"} "$@"
}

curve() {
    corpus || { note FAILED "loss curve" "$last" && return; }
    local network precision tolerance
    for network in dropout=0.0 dropout=0.25 layer_norm=true; do
        train "cpu-$network" cpu --set "model.$network" || { note FAILED "loss curve, $network, on the CPU" "$last" && continue; }
        for precision in fp32 tf32 bf16; do
            case $precision in fp32) tolerance=2e-4 ;; tf32) tolerance=1e-2 ;; bf16) tolerance=3e-2 ;; esac
            if train "$precision-$network" "$device" --set "model.$network" --set "train.precision=\"$precision\""; then
                checked 10 "ten steps against the CPU, $network, $precision" \
                    "$python" "$here/histories.py" "$work/cpu-$network" "$work/$precision-$network" $tolerance
            else
                note FAILED "ten steps, $network, $precision" "$last"
            fi
        done
    done
    local before=(env CROSSRX_CUDA_GRAPHS=no)
    if train single "$device" --set model.dropout=0.25; then
        checked 10 "steps launched kernel by kernel against recorded ones, fp32" \
            "$python" "$here/histories.py" "$work/fp32-dropout=0.25" "$work/single" 0
    else
        note FAILED "steps launched kernel by kernel" "$last"
    fi
}

ranks() {
    if [ ${#launcher[@]} = 0 ]; then
        note skipped "two ranks on one GPU" "no mpirun in the bundle or on PATH"
        return
    fi
    corpus || { note FAILED "two ranks" "$last" && return; }
    local precision before=()
    for precision in fp32 bf16; do
        local settings=(--set train.lanes=2 --set model.dropout=0.25 --set "train.precision=\"$precision\"" --threads 2)
        before=()
        train "one-$precision" "$device" "${settings[@]}" || { note FAILED "one rank, two lanes, $precision" "$last" && continue; }
        train "again-$precision" "$device" "${settings[@]}" || { note FAILED "one rank again, $precision" "$last" && continue; }
        checked 10 "the same training twice, $precision" \
            "$python" "$here/histories.py" "$work/one-$precision" "$work/again-$precision" 0
        before=("${launcher[@]}")
        train "two-$precision" "$device" "${settings[@]}" || { note FAILED "two ranks on one GPU, $precision" "$last" && continue; }
        checked 10 "two ranks on one GPU against one, two lanes, $precision" \
            "$python" "$here/histories.py" "$work/one-$precision" "$work/two-$precision" 0
    done
}

bench() {
    local peer=$python more=() precision result=passed
    "$python" -c 'import torch' 2>/dev/null || peer=
    [ -n "$peer" ] || note skipped "PyTorch peers" "$python has no PyTorch (PYTHON names another)"
    for precision in ${GPU_PEERS:-bf16}; do more+=(--peer-precision "$precision"); done
    [ -z "$dry" ] || more=(--dry --seconds 0.3 --rounds 1 --precision bf16)
    export TORCHINDUCTOR_CACHE_DIR=$work/inductor
    limited 260 "$python" "$here/bench.py" "$crossrx" "$results/bench.json" --peer "$peer" "${more[@]}" || result=FAILED
    # Its table goes below the others', whole.
    grep -a -A 100 '^| precision' "$work/out" >"$work/bench.md"
    [ ! -s "$work/bench.md" ] || last="see below"
    note $result "a step beside PyTorch's, in turns" "$last"
    cat "$work/bench.md"
}

sanitizer() {
    local tool sanitizer
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
    if [ -z "$sanitizer" ] || [ -n "$dry" ]; then
        note skipped "compute-sanitizer" "$([ -n "$dry" ] && echo "dry run" || echo "not on this machine")"
        return
    fi
    # Errors of a recorded graph would carry no name of a kernel.
    for tool in memcheck racecheck initcheck synccheck; do
        CROSSRX_CUDA_GRAPHS=no checked 75 "compute-sanitizer $tool" "$sanitizer" --tool "$tool" --target-processes all \
            --error-exitcode 9 --print-limit 10 "$crossrx" devices --check --device cuda --precision fp32 --precision bf16
        grep -a -m 12 '=========' "$work/out" | cut -c 1-200 | sed 's/^/    /'
    done
}

echo "crossrx: $crossrx${log_dry:-}; results: $results"
for section in "${sections[@]}"; do
    echo "== $section"
    begun=$SECONDS
    "$section"
    echo "== $section: $((SECONDS - begun)) s"
done

{
    echo "# crossrx on $(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 | grep . || echo "no GPU")${log_dry:-}, $(date -u +%F)"
    echo
    echo "| what | result | detail |"
    echo "|---|---|---|"
    printf '%s\n' ${rows[@]+"${rows[@]}"}
    if [ -s "$work/bench.md" ]; then
        echo
        if [ -n "$dry" ]; then
            echo "Not a measurement: different small networks, to try the script."
        else
            echo "Training steps, 65,536 pairs each of 52,000 drugs (3,820 features) and 59 samples (942), towers of 3 x 1,000, a head of 4 x 1,000, Adam; medians over turns, least and most in brackets."
        fi
        echo
        cat "$work/bench.md"
    fi
} >"$table"
echo
cat "$table"
exit $failed
