#!/usr/bin/env python3
"""Times import, synth and reading back against what the machine can do at best.

The floor of an import is the time that reading its files and parsing their numbers takes
(benches/import_floor.rs), on as many threads; the floor of writing and reading a store is
sequential I/O of as many bytes in blocks of 1 MiB, with an fsync, or from a file that is not in
memory. Ours and the floor take turns; the fastest round of each counts.

    benches/io.py --raw-data DIR [--rounds 5] [--preset nci60] [--folder DIR] [--json FILE]
"""

import argparse
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = 1 << 20


def run(command):
    """Seconds and peak memory in MB of a command that has to succeed."""
    begun = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed: {errors.decode()}")
    return seconds, usage.ru_maxrss / 1000


def forget(path):
    """Takes a file out of the page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def write_like(source, path):
    """Seconds that writing as many bytes as `source` has to `path` takes, from memory to the disk."""
    # A sample of the file, for what the child processes of a large one seem to use is counted as theirs.
    with open(source, "rb") as file:
        blocks = [file.read(BLOCK) for _ in range(16)]
    left = os.path.getsize(source)
    begun = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        for turn in itertools.count():
            if left <= 0:
                break
            left -= file.write(memoryview(blocks[turn % len(blocks)])[:left])
        os.fsync(file.fileno())
    seconds = time.perf_counter() - begun
    os.unlink(path)
    return seconds


def read_like(path):
    """Seconds that reading `path` from beginning to end takes."""
    buffer = bytearray(BLOCK)
    begun = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.perf_counter() - begun


def import_floor(raw_data):
    """Seconds of the import's floor by number of threads."""
    command = ["cargo", "bench", "--quiet", "--bench", "import_floor", "--", str(raw_data)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    floors = {int(threads): float(seconds) for seconds, threads in re.findall(r"([\d.]+) s on (\d+) thread", said)}
    if not floors:
        sys.exit(f"import_floor said nothing of use: {said}")
    return floors


class Table:
    """Rounds of ours and of the floor, by what was done."""

    def __init__(self):
        self.rows = {}

    def add(self, name, ours, floor, memory, size):
        row = self.rows.setdefault(name, {"ours": [], "floor": [], "memory": 0})
        row["ours"].append(ours)
        row["floor"].append(floor)
        row["memory"] = max(row["memory"], memory)
        row["size"] = size

    def result(self):
        for name, row in self.rows.items():
            ours, floor = min(row["ours"]), min(row["floor"])
            yield {
                "what": name,
                "bytes": row["size"],
                "seconds": round(ours, 4),
                "floor_seconds": round(floor, 4),
                "times_the_floor": round(ours / floor, 2),
                "peak_mb": round(row["memory"]),
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--raw-data", type=pathlib.Path, help="an IMPROVE raw_data tree; without it, no import is timed")
    parser.add_argument("--crossrx", type=pathlib.Path, default=ROOT / "target/release/crossrx")
    parser.add_argument("--preset", default="nci60")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=pathlib.Path, help="where stores are written; their disk is what counts")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    if args.raw_data is not None:
        args.raw_data = args.raw_data.resolve()

    table = Table()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        store, other = pathlib.Path(folder, "store.h5"), pathlib.Path(folder, "other")
        for _ in range(args.rounds if args.raw_data else 0):
            command = [args.crossrx, "import", "improve", "--raw-data", args.raw_data, "--out", store, "--force"]
            ours = min(run(command) for _ in range(3))
            for threads, floor in import_floor(args.raw_data).items():
                name = f"import, floor on {threads} thread{'s' if threads > 1 else ''}"
                table.add(name, ours[0], floor, ours[1], store.stat().st_size)
        for _ in range(args.rounds):
            command = [args.crossrx, "synth", "--preset", args.preset, "--out", store, "--force"]
            store.unlink(missing_ok=True)
            ours = run(command)
            size = store.stat().st_size
            table.add("synth, write and fsync", ours[0], write_like(store, other), ours[1], size)
            forget(store)
            cold = run([args.crossrx, "inspect", "--verify", store])
            forget(store)
            table.add("inspect --verify, from disk", cold[0], read_like(store), cold[1], size)
            warm = run([args.crossrx, "inspect", "--verify", store])
            table.add("inspect --verify, from page cache", warm[0], read_like(store), warm[1], size)

    results = list(table.result())
    print(f"{'':38} {'MB':>7} {'ours s':>9} {'floor s':>9} {'ratio':>7} {'peak MB':>8}")
    for r in results:
        print(
            f"{r['what']:38} {r['bytes'] / 1e6:7.1f} {r['seconds']:9.4f} {r['floor_seconds']:9.4f} "
            f"{r['times_the_floor']:7.2f} {r['peak_mb']:8}"
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
